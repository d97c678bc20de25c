"""The Quart-Trio front end: HTTP and WebSocket requests become messages to the store."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from quart import Response, Websocket, has_request_context, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.routing.exceptions import WebsocketMismatch

from ..session.requests import shown
from ..session.wire import encode_json
from ..store.messages import GetCatalogue, GetOverview
from .candles import CandlePages
from .cors import Cors
from .fast_path import FAST_PATH, CandleFastPath
from .pages import add_chart, add_inspection
from .problem import ProblemError
from .response_schemas import Health, IntervalList, Ready, SymbolList
from .schemas.documents import add_documents
from .services import Services
from .session_connection import SessionConnection
from .status import describe_system, not_trading, readiness_check
from .store_client import ask
from .streaming_status import StatusQuery, streaming_status
from .symbols import DETAILS, symbol_details
from .websocket import serve_candles, serve_legacy_candles

if TYPE_CHECKING:
    from .udf.datafeed import Udf

logger = structlog.get_logger("web")


def create_app(services: Services) -> QuartTrio:
    """All routes of the public API, on the actors that `services` names."""
    app = QuartTrio("smarttrade.web", static_folder=None)
    app.asgi_websocket_class = SessionConnection
    app.url_map.merge_slashes = False  # it redirects, to a URL made of the Host header
    _add_status(app, services)
    _add_errors(app)
    _add_cors(app, services)
    add_documents(app, services)
    if not services.has_clients:
        return app
    _add_catalogue(app, services)
    _add_charts(app, services)
    _add_websockets(app, services)
    add_chart(app)
    add_inspection(app)
    return app


UPGRADE_REQUIRED = ProblemError(
    426,
    "upgrade_required",
    "this is a WebSocket: Upgrade: websocket and Connection: Upgrade are missing",
    headers={"Upgrade": "websocket", "Connection": "Upgrade"},
)

NO_STORE = {"Cache-Control": "no-store"}


def _json(value: Any) -> Response:
    return Response(encode_json(value), content_type="application/json", headers=NO_STORE)


def _add_catalogue(app: QuartTrio, services: Services) -> None:
    texts = services.texts
    candle_pages = CandlePages(services.store, texts, services.revision_of, texts.cache)
    app.extensions[FAST_PATH] = CandleFastPath(candle_pages, Cors(services.cors_origins)).answer

    @app.get("/symbols")
    async def symbols() -> Response:
        with_details = DETAILS.read(request.args)
        catalogue = await ask(services.store, GetCatalogue)
        details = symbol_details(catalogue) if with_details else None
        return _json(SymbolList(list(catalogue.symbols), details))

    @app.get("/intervals")
    async def intervals() -> Response:
        catalogue = await ask(services.store, GetCatalogue)
        return _json(IntervalList([interval.value for interval in catalogue.intervals]))

    @app.get("/candles/<symbol>/<interval>")
    async def candles(symbol: str, interval: str) -> Response:
        return await candle_pages.get(symbol, interval, request.args, request.headers)


def _add_status(app: QuartTrio, services: Services) -> None:
    @app.get("/health")
    async def health() -> Response:
        return _json(Health("ok"))

    @app.get("/ready")
    async def ready() -> Response:
        check = readiness_check(request.args)
        overview = await ask(services.store, GetOverview)
        store, simulated = services.describe_store(), services.is_simulated
        check(overview, services.not_ready_reasons, store=store, simulated=simulated)
        return _json(Ready("ready", dict(store), simulated, not_trading(overview)))

    @app.get("/streaming/status")
    async def status() -> Response:
        body = await streaming_status(
            services.store,
            StatusQuery.read(request.args),
            services.describe_store(),
            simulated=services.is_simulated,
            shards=services.shards,
        )
        return Response(body, content_type="application/json", headers=NO_STORE)

    @app.get("/metrics")
    async def scrape() -> Response:
        from .metrics.exposition import CONTENT_TYPE  # not needed by a process without metrics
        from .metrics.scrape import metrics

        return Response(await metrics(services), content_type=CONTENT_TYPE, headers=NO_STORE)

    @app.get("/system")
    async def system() -> Response:
        from .metrics.process import uptime

        described = describe_system(
            services.inspect(),
            server=services.server,
            uptime=uptime(),
            store=services.describe_store(),
            hosts=services.describe_hosts(),
            simulated=services.is_simulated,
        )
        return _json(described)


def _add_charts(app: QuartTrio, services: Services) -> None:
    udf = cache(lambda: _udf(services))

    @app.get("/udf/config")
    async def udf_config() -> Response:
        return _json(await udf().config())

    @app.get("/udf/symbols")
    async def udf_symbols() -> Response:
        return _json(await udf().symbols(request.args))

    @app.get("/udf/search")
    async def udf_search() -> Response:
        return _json(await udf().search(request.args))

    @app.get("/udf/history")
    async def udf_history() -> Response:
        return _json(await udf().history(request.args))

    @app.get("/udf/time")
    async def udf_time() -> Response:
        return Response(await udf().time(), content_type="text/plain", headers=NO_STORE)


def _udf(services: Services) -> Udf:
    from .udf.datafeed import Udf  # only some front ends speak it

    return Udf(services)


def _add_websockets(app: QuartTrio, services: Services) -> None:
    @app.websocket("/ws/candles")
    async def session() -> None:
        await serve_candles(_websocket(), services)

    @app.websocket("/ws/candles/<symbol>")
    async def legacy_session(symbol: str) -> None:
        await serve_legacy_candles(_websocket(), services, symbol)


def _websocket() -> Websocket:
    """The connection itself: the name that Quart offers is looked up again at every use."""
    itself: Websocket = websocket._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001
    return itself


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(ProblemError)
    async def problem(error: ProblemError) -> Response:
        return error.response()

    @app.errorhandler(WebsocketMismatch)
    async def mismatch(_: WebsocketMismatch) -> Response:
        if has_request_context():
            return UPGRADE_REQUIRED.response()
        return ProblemError(400, "no_websocket", "there is no WebSocket at this path").response()

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = (error.name or "error").lower().replace(" ", "_")
        detail = error.description or error.name
        if status == HTTPStatus.NOT_FOUND:
            path = (request if has_request_context() else websocket).path
            detail = f"nothing is at {shown(path)}; /docs lists what there is"
        response = ProblemError(status, code, detail).response()
        for name, value in error.get_headers():
            if name.lower() == "allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        logger.error("request_failed", exc_info=error)
        return ProblemError(500, "internal_error", "the request failed here").response()


def _add_cors(app: QuartTrio, services: Services) -> None:
    cors = Cors(services.cors_origins)

    @app.after_request
    async def allow(response: Response) -> Response:
        for name, value in cors.headers(request.headers.get("Origin"), request.method):
            response.headers.add(name, value)
        return response
