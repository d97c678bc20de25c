"""Sessions with two symbols, and requests to them."""

from __future__ import annotations

import json
from typing import Any

from smarttrade.market.interval import Interval
from smarttrade.market.series import Series
from smarttrade.session.budget import Budget
from smarttrade.session.protocol import (
    Action,
    Send,
    SessionProtocol,
    Subscribe,
    Unsubscribe,
)
from smarttrade.session.session_limits import SessionLimits
from smarttrade.store.messages import Catalogue, SubscriptionSpec
from tests.fakes.frames import Message, message

CATALOGUE = Catalogue(
    ("BTCUSDT", "ETHUSDT"),
    (Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1, Interval.WEEK_1, Interval.MONTH_1),
)
ETH_DAY = Series("ETHUSDT", Interval.DAY_1)
BTC_1M = {"symbol": "BTCUSDT", "interval": "1m"}
ETH_1M = {"symbol": "ETHUSDT", "interval": "1m"}


def new_session(**limits: Any) -> SessionProtocol:
    allowed = SessionLimits(**limits)
    return SessionProtocol("s1", "smarttrade/9.9.9", 25, allowed, Budget(allowed))


def receive(session: SessionProtocol, request: object, now: float = 0.0) -> list[Action]:
    text = request if isinstance(request, str | bytes) else json.dumps(request)
    return session.receive(text, CATALOGUE, now)


def subscribe(
    session: SessionProtocol, request: object
) -> tuple[tuple[SubscriptionSpec, ...], Message]:
    (action,) = receive(session, request)
    assert isinstance(action, Subscribe)
    return action.wanted, message(action.acknowledgement)


def unsubscribe(session: SessionProtocol, request: object) -> tuple[tuple[Series, ...], Message]:
    (action,) = receive(session, request)
    assert isinstance(action, Unsubscribe)
    return action.series, message(action.acknowledgement)


def answer(session: SessionProtocol, request: object) -> Message:
    (action,) = receive(session, request)
    assert isinstance(action, Send)
    return message(action.frame)


def refusal(request: object, **limits: Any) -> Message:
    reply = answer(new_session(**limits), request)
    assert set(reply) == {"type", "id", "code", "message"}
    assert reply["type"] == "error"
    assert reply["message"]
    return reply
