"""What is done to the service, one fault at a time.

A fault's play returns when it is over; what it broke may still be broken then.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from smarttrade.feed.proxy import ProxyError
from smarttrade.simulator import inject
from tests.fakes.service import World
from tests.fakes.unhandled import UNHANDLED

MINUTES, HOURS = 60.0, 3600.0

Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    name: str
    play: Play
    world: Mapping[str, Any] = field(default_factory=dict)
    """How the world is made."""
    at_least: float = 0.0
    """Seconds to go on for afterwards, where what is to be seen takes its time."""
    quiet: frozenset[str] = frozenset()
    """Symbols of which no updates come meanwhile."""
    sick: frozenset[str] = frozenset()
    """Symbols that it happens to, where it does not concern all."""
    unhandled: bool = False
    """Left out unless it is asked for by name: the service does not stand it yet."""


def once(fault: str, **arguments: Any) -> Play:
    """Something that happens, and is over."""

    async def play(world: World) -> None:
        inject(world.exchange, fault, arguments)

    return play


def lasting(
    fault: str, value: Any = None, *, seconds: float, cut: str | None = None, lose: float = 0.0
) -> Play:
    """A switch that is on for a while; with `cut`, connections of that kind end as it begins.

    `lose`: seconds without any stream before that, so that there is something to be read.
    """

    async def play(world: World) -> None:
        if lose:
            inject(world.exchange, "handshake_status", {"value": 503}, lose)
            inject(world.exchange, "cut", {})
            await trio.sleep(lose)
        given = {} if value is None else {"value": value}
        inject(world.exchange, fault, given, seconds)
        if cut is not None:
            inject(world.exchange, "cut", {"which": cut})
        await trio.sleep(seconds)

    return play


def together(*plays: Play) -> Play:
    async def play(world: World) -> None:
        async with trio.open_nursery() as nursery:
            for one in plays:
                nursery.start_soon(one, world)

    return play


def cuts(seconds: float, every: float) -> Play:
    """Streams are cut again and again, so that much is read over REST."""

    async def play(world: World) -> None:
        for _ in range(int(seconds / every)):
            inject(world.exchange, "cut", {})
            await trio.sleep(every)

    return play


async def _one_stream_of_one_connection(world: World) -> None:
    """The next connection brings again what this one keeps back."""
    connections = len(world.dialled)
    inject(world.exchange, "stall", {"value": ["btcusdt@kline_1m"]})
    while len(world.dialled) == connections:
        await trio.sleep(0.1)
    world.exchange.faults.stall.off()


def connect_error(error: OSError, seconds: float = 60.0) -> Play:
    async def play(world: World) -> None:
        world.connect_error = error
        inject(world.exchange, "cut", {"which": "all"})
        await trio.sleep(seconds)
        world.connect_error = None

    return play


def lasting_incident(fault: str, *, seconds: float, **arguments: Any) -> Play:
    """Something that happens once and ends by itself."""

    async def play(world: World) -> None:
        inject(world.exchange, fault, {"seconds": seconds, **arguments})
        await trio.sleep(seconds)

    return play


async def _rename(world: World) -> None:
    inject(world.exchange, "rename", {"symbol": "ETHUSDT", "to": "NEWUSDT"})


async def _nothing(world: World) -> None:
    await trio.sleep(10 * MINUTES)


SPARE = {"with_spare": True}
UNKNOWN_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
BAD_CERTIFICATE = ssl.SSLCertVerificationError("certificate verify failed: unable to get issuer")
NO_PROXY_THERE = ProxyError("the proxy proxy.test cannot be reached: refused")

FAULTS = [
    Fault("cut by RST", once("cut", how="rst")),
    Fault("cut by FIN", once("cut", how="fin")),
    Fault("cut by a close frame", once("cut", how="close")),
    Fault("everything cut and refused for 5 min", lasting("refuse", seconds=300, cut="all")),
    Fault("everything cut and refused for 16 h", lasting("refuse", seconds=16 * HOURS, cut="all")),
    Fault("half-open stream", once("half_open")),
    Fault("half-open stream and REST", once("half_open", which="all")),
    Fault("all streams stalled for 90 s", lasting("stall", seconds=90)),
    Fault("one stream stalled on one connection", _one_stream_of_one_connection),
    Fault(
        "one stream stalled everywhere for 10 min",
        lasting("stall", ["btcusdt@kline_1m"], seconds=10 * MINUTES),
    ),
    Fault("events 10 s late for 2 min", lasting("late", 10, seconds=120)),
    Fault("every event twice for 2 min", lasting("duplicate", 1, seconds=120)),
    Fault("half of the events disordered for 2 min", lasting("disorder", 0.5, seconds=120)),
    Fault("a third of the messages truncated for 2 min", lasting("truncate", 0.3, seconds=120)),
    Fault("garbage before half of the events for 2 min", lasting("garbage", 0.5, seconds=120)),
    Fault("bytes that are no frames for 2 min", lasting("broken_frames", 0.05, seconds=120)),
    Fault("no closing events for 4 min", lasting("missing_close", 1, seconds=240)),
    Fault("no pings for 3 min", lasting("no_ping", seconds=180)),
    Fault("our pings unanswered for 3 min", lasting("no_pong", seconds=180)),
    Fault("the cut at 24 h", once("expire")),
    Fault("serverShutdown", once("server_shutdown", seconds=10)),
    Fault("REST 429 for 60 s, and a cut", lasting("rest_status", 429, seconds=60, cut="streams")),
    Fault("REST 418 for 2 min, and a cut", lasting("rest_status", 418, seconds=120, cut="streams")),
    Fault(
        "REST 451 at the first host, and a cut",
        lasting("rest_status", 451, seconds=120, cut="streams"),
        SPARE,
    ),
    Fault("REST 503 for 60 s, and a cut", lasting("rest_status", 503, seconds=60, cut="streams")),
    Fault(
        "streams 429 for 60 s, and a cut",
        lasting("handshake_status", 429, seconds=60, cut="streams"),
    ),
    Fault(
        "streams 503 for 60 s, and a cut",
        lasting("handshake_status", 503, seconds=60, cut="streams"),
    ),
    Fault(
        "streams 451 at the first host, and a cut",
        lasting("handshake_status", 451, seconds=120, cut="streams"),
        SPARE,
    ),
    Fault(
        "streams 403 at the first host, and a cut",
        lasting("handshake_status", 403, seconds=120, cut="streams"),
        SPARE,
    ),
    Fault("no handshake for 60 s, and a cut", lasting("no_handshake", seconds=60, cut="streams")),
    Fault(
        "nothing but nonsense in the first host's streams",
        lasting("truncate", 1, seconds=120),
        SPARE,
    ),
    Fault("REST 5 s slow for 2 min, and a cut", lasting("rest_slow", 5, seconds=120, cut="all")),
    Fault("REST hangs for 90 s, and a cut", lasting("rest_hang", seconds=90, cut="streams")),
    Fault(
        "REST drips 20 bytes/s for 60 s, and a cut",
        lasting("rest_drip", 20, seconds=60, cut="streams"),
    ),
    Fault(
        "REST answers with a page for 60 s, and a cut",
        lasting("rest_nonsense", "html", seconds=60, cut="streams"),
    ),
    Fault(
        "REST answers with half of the truth at the first host, and a cut",
        lasting("rest_nonsense", "cut", seconds=60, cut="streams"),
        SPARE,
    ),
    Fault(
        "pages of 10 rows after 3 h without anything",
        lasting("rest_short", 10, seconds=60, lose=3 * HOURS),
    ),
    Fault(
        "REST lags by 20 s for 2 min, and a cut", lasting("rest_lag", 20, seconds=120, cut="all")
    ),
    Fault("a closed candle is changed", once("alter"), at_least=6 * MINUTES),
    Fault(
        "10 min without trading, one symbol",
        lasting_incident("hole", seconds=600, symbol="BTCUSDT"),
        quiet=frozenset({"BTCUSDT"}),
    ),
    Fault(
        "80 min without trading, as on 2023-03-24",
        lasting_incident("hole", seconds=4818),
        quiet=frozenset({"BTCUSDT", "ETHUSDT"}),
    ),
    Fault("a symbol is renamed", _rename, at_least=12 * MINUTES, quiet=frozenset({"ETHUSDT"})),
    Fault(
        "10 min of which many are without trades",
        _nothing,
        {"quiet": ["ETHUSDT"], "quiet_closes": False},
        quiet=frozenset({"ETHUSDT"}),
    ),
    Fault(
        "403 from the firewall for 10 min, and a cut",
        lasting("firewall", 300, seconds=600, cut="streams"),
    ),
    Fault(
        "403 from the first host's firewall for 10 min, and a cut",
        lasting("firewall", 300, seconds=600, cut="streams"),
        SPARE,
    ),
    Fault(
        "REST overloaded (-1008) at the first host for 5 min, and a cut",
        lasting("overload", seconds=300, cut="streams"),
        SPARE,
    ),
    Fault(
        "502 with Retry-After: 3600 at the first host for 60 s, and a cut",
        together(
            lasting("retry_after", "3600", seconds=60),
            lasting("rest_status", 502, seconds=60, cut="streams"),
        ),
        SPARE,
    ),
    Fault(
        "429 with Retry-After: 999999999 at the first host for 60 s, and a cut",
        together(
            lasting("retry_after", "999999999", seconds=60),
            lasting("rest_status", 429, seconds=60, cut="streams"),
        ),
        SPARE,
    ),
    Fault(
        "streams 429 without Retry-After for 5 min, and a cut",
        together(
            lasting("retry_after", "none", seconds=300),
            lasting("handshake_status", 429, seconds=300, cut="streams"),
        ),
    ),
    Fault(
        "streams 502 with Retry-After: 3600 at the first host for 60 s, and a cut",
        together(
            lasting("retry_after", "3600", seconds=60),
            lasting("handshake_status", 502, seconds=60, cut="streams"),
        ),
        SPARE,
    ),
    Fault(
        "all streams stalled and REST 503 at the first host for 5 min",
        together(lasting("stall", seconds=300), lasting("rest_status", 503, seconds=300)),
        SPARE,
    ),
    Fault("closing events up to 30 s late for 10 min", lasting("late_close", 30, seconds=600)),
    Fault(
        "rows without their last 8 s for 10 min, and cuts",
        together(lasting("stale_rows", 8, seconds=600), cuts(600, every=13)),
        at_least=6 * MINUTES,
    ),
    Fault("REST redirects for 60 s, and a cut", lasting("redirect", seconds=60, cut="streams")),
    Fault(
        "gzip bombs of 64 MB at the first host for 30 s, and a cut",
        lasting("gzip_bomb", 64, seconds=30, cut="streams"),
        SPARE,
    ),
    Fault(
        "others use 5,500 of the weight for 5 min, and a cut",
        lasting("others_weight", 5500, seconds=300, cut="streams"),
    ),
    Fault("event times up to 15 ms backwards for 5 min", lasting("jitter", 15, seconds=300)),
    Fault("events without the field B for 5 min", lasting("without_b", 1, seconds=300)),
    Fault(
        "klines that open long after their event for 2 min",
        lasting("impossible", 0.2, seconds=120),
        unhandled="impossible" in UNHANDLED,
    ),
    Fault(
        "150 s of one symbol that REST never lists, and cuts",
        together(
            lasting_incident("roll_back", symbol="BTCUSDT", seconds=150.0),
            cuts(150, every=50),
        ),
        at_least=10 * MINUTES,
        sick=frozenset({"BTCUSDT"}),
    ),
    Fault(
        "klines of one symbol fail (500) for 10 min, and a cut",
        lasting("failing", ["BTCUSDT"], seconds=600, cut="streams"),
        sick=frozenset({"BTCUSDT"}),
    ),
    Fault(
        "one symbol is unknown (-1121) for 10 min, and a cut",
        lasting("unknown", ["BTCUSDT"], seconds=600, cut="streams"),
        sick=frozenset({"BTCUSDT"}),
    ),
    Fault(
        "one symbol is halted for 10 min",
        lasting_incident("halt", symbols=["BTCUSDT"], seconds=600.0, status="HALT"),
        quiet=frozenset({"BTCUSDT"}),
        sick=frozenset({"BTCUSDT"}),
    ),
    Fault(
        "maintenance: all symbols in BREAK for 10 min",
        lasting_incident("halt", seconds=600.0),
        quiet=frozenset({"BTCUSDT", "ETHUSDT"}),
    ),
    Fault("the name is not known for 60 s", connect_error(UNKNOWN_NAME)),
    Fault("the certificate is not trusted for 60 s", connect_error(BAD_CERTIFICATE)),
    Fault("the first host's name is not known", connect_error(UNKNOWN_NAME), SPARE),
    Fault("the proxy goes away for 60 s", connect_error(NO_PROXY_THERE)),
]
BY_NAME = {fault.name: fault for fault in FAULTS}
