"""The WebSocket routes: from Quart's handshake to a session actor."""

from __future__ import annotations

from functools import partial

from quart import Websocket

from ..market.series import Series
from ..session.actor import run_legacy_session, run_session
from ..session.errors import RequestError
from ..session.protocol import SessionProtocol
from ..session.requests import find_series
from ..session.subscriber import Subscriber
from ..store.messages import GetCatalogue
from .problem import ProblemError
from .services import Services
from .session_connection import hand_over_session
from .store_client import ask


async def serve_candles(websocket: Websocket, services: Services) -> None:
    """`/ws/candles`: as many series as the client asks for."""
    _refuse_when_stopping(services)
    await websocket.accept()
    state = websocket.scope["state"]
    protocol = SessionProtocol(
        session=services.new_session_name(),
        server=services.server,
        heartbeat=services.heartbeat,
        limits=services.session_limits,
        budget=state["budget"],
        simulated=services.is_simulated,
        counters=services.counters.session,
    )
    session = partial(
        run_session,
        subscriber=Subscriber(state["outbox"], state["budget"]),
        protocol=protocol,
        store=services.store,
        draining=services.draining,
    )
    hand_over_session(websocket, session)


async def serve_legacy_candles(websocket: Websocket, services: Services, symbol: str) -> None:
    """`/ws/candles/{symbol}`: one series, in the legacy format."""
    _refuse_when_stopping(services)
    series = await _find(services, symbol, websocket.args.get("interval", "1m"))
    await websocket.accept()
    state = websocket.scope["state"]
    session = partial(
        run_legacy_session,
        subscriber=Subscriber(state["outbox"], state["budget"], legacy=True),
        series=series,
        store=services.store,
        counters=services.counters.session,
        draining=services.draining,
    )
    hand_over_session(websocket, session)


def _refuse_when_stopping(services: Services) -> None:
    if services.draining.is_set():
        raise ProblemError(503, "shutting_down", "the server is shutting down", retry_after=1)


async def _find(services: Services, symbol: str, interval: str) -> Series:
    catalogue = await ask(services.store, GetCatalogue)
    try:
        return find_series(symbol, interval, catalogue)
    except RequestError as error:
        raise ProblemError(404, error.code, error.message) from None
