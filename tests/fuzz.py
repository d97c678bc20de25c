"""A coverage-guided fuzzer for untrusted input, run manually.

    pip install atheris
    python -m tests.fuzz session -max_total_time=60

Anything but the errors that each reader promises is a finding; atheris prints it with the input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["smarttrade"]):
    from smarttrade.binance.wire import (
        BinanceDecoder,
        decode_error,
        decode_klines,
        decode_listing,
    )
    from smarttrade.feed.errors import Malformed
    from smarttrade.market.interval import Interval
    from smarttrade.market.series import Series
    from smarttrade.session.budget import Budget
    from smarttrade.session.protocol import SessionProtocol
    from smarttrade.session.session_limits import SessionLimits
    from smarttrade.store.messages import Catalogue
    from smarttrade.web.access import Access, AccessPolicy, request_info
    from smarttrade.web.fast_path import parse_fast_request

CATALOGUE = Catalogue(("BTCUSDT", "ETHUSDT"), tuple(Interval))
SERIES = [Series("BTCUSDT", Interval.MINUTE_1)]
POLICY = AccessPolicy(Access(tokens=("0123456789abcdef",), origins=("https://a.test",)))


def session(data: bytes) -> None:
    """The client protocol: every text gets an answer."""
    protocol = SessionProtocol("s", "v", 25, SessionLimits(), Budget(SessionLimits()))
    text = data.decode("utf-8", "ignore")
    assert protocol.receive(text, CATALOGUE, 0.0)
    assert protocol.receive(data, CATALOGUE, 1.0)


def stream(data: bytes) -> None:
    """The exchange's stream."""
    with suppress(Malformed):
        BinanceDecoder(SERIES).decode(data)


def rest(data: bytes) -> None:
    """The exchange's REST answers."""
    for decode in (lambda: decode_klines(data, 0), lambda: decode_listing(data)):
        with suppress(Malformed):
            decode()
    decode_error(data)


def heads(data: bytes) -> None:
    """Request heads and their authorization."""
    parse_fast_request(data)
    lines = [line.partition(b":") for line in data.split(b"\n")]
    asked = request_info(b"GET", data, [(name.lower(), value) for name, _, value in lines])
    assert (
        not POLICY.is_authorized(asked) or b"0123456789abcdef" in data or asked.target[:1] == b"/"
    )
    POLICY.allows_origin(asked)
    POLICY.bucket_of(POLICY.client_of("127.0.0.1", asked.forwarded))


TARGETS: dict[str, Callable[[bytes], Any]] = {
    target.__name__: target for target in (session, stream, rest, heads)
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"one of {', '.join(TARGETS)} is missing; then options of libFuzzer")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
