"""What the exchange's refusals mean.

Bodies: binance-spot-api-docs, errors.md.
"""

from __future__ import annotations

import json

import pytest

from smarttrade.binance.rest import failure
from smarttrade.feed.errors import ExchangeRefused
from smarttrade.feed.hosts import FailureKind
from smarttrade.feed.venue import HostFailure


def body(code: int) -> bytes:
    return json.dumps({"code": code, "msg": "..."}).encode()


@pytest.mark.parametrize("code", [-1100, -1121, -1130])
def test_code_that_blames_the_request_is_a_refusal(code: int) -> None:
    found = failure(400, {}, body(code))
    assert isinstance(found, ExchangeRefused)
    assert found.code == code


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (400, b"<html>Bad Request</html>", None),
        (400, b"", None),
        (400, body(-9000), None),
        (400, body(-1000), FailureKind.FAILING),
        (400, body(-1008), FailureKind.OVERLOADED),
        (500, body(-1121), None),
        (503, body(-1008), FailureKind.OVERLOADED),
        (502, b"<html>", FailureKind.FAILING),
        (403, b"<html>", FailureKind.BLOCKED),
        (418, body(-1003), FailureKind.BANNED),
        (429, body(-1003), FailureKind.LIMITED),
    ],
)
def test_anything_else_is_about_the_host_or_about_nothing(
    status: int, content: bytes, kind: FailureKind | None
) -> None:
    assert failure(status, {}, content) == HostFailure(kind)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30.0), ("0", 0.0), ("-1", None), ("soon", None), ("9" * 12, None)],
)
def test_retry_after_is_whole_seconds(value: str, seconds: float | None) -> None:
    found = failure(429, {"Retry-After": value}, b"")
    assert isinstance(found, HostFailure)
    assert found.retry_after == seconds
