"""`smarttrade simulator`: an exchange to connect to, until it is stopped."""

from __future__ import annotations

import argparse
import secrets
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from ..market.series import parse_symbol
from ..telemetry.logs import configure_logs
from .error_text import root_cause_text
from .messages import print_message
from .signals import run_until_signal

if TYPE_CHECKING:
    from ..simulator.exchange import Exchange

PORT = 9000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="where to serve (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=PORT, help="where to serve (%(default)s); 0 takes a free port"
    )
    parser.add_argument(
        "--symbols",
        type=_symbols,
        metavar="A,B,...",
        help="symbols to list; usually some well-known ones",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same market (%(default)s)"
    )
    parser.add_argument(
        "--faults-seed",
        type=int,
        metavar="SEED",
        help="let things go wrong, about every two minutes, as this seed says; usually nothing "
        "does but what is asked for at /sim/faults",
    )
    parser.add_argument(
        "--control-token",
        default=None,
        metavar="TOKEN",
        help="what requests to /sim/faults and /sim/stats must present; usually a random one, "
        "which is printed",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="FACTOR",
        help="how fast the exchange's time runs (%(default)g)",
    )
    parser.add_argument(
        "--start",
        type=_moment,
        metavar="TIME",
        help="the exchange's time at the start, such as 2024-12-01T07:00 (UTC) or milliseconds "
        "since the epoch; usually now, or the first at which a recording can be looked back on",
    )
    parser.add_argument(
        "--replay",
        type=_recording,
        action="append",
        default=[],
        metavar="SYMBOL=FILE",
        help="recorded minutes of a symbol, as CSV (open_time,open,high,low,close,volume), gzipped "
        "or not; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    configure_logs()
    try:
        exchange = _exchange(arguments)
    except (OSError, ValueError) as error:
        print_message(str(error))
        return 2
    seed = arguments.faults_seed
    serve = partial(_serve, exchange, arguments.host, arguments.port, faults_seed=seed)
    return run_until_signal(serve)


def _exchange(arguments: argparse.Namespace) -> Exchange:
    from ..simulator.exchange import Exchange
    from ..simulator.replay import replay_start
    from ..simulator.symbols import DEFAULT_SYMBOLS

    replay = dict(arguments.replay)
    start = arguments.start
    if start is None:
        starts = [replay_start(path) for path in replay.values()]
        start = max(starts, default=int(time.time() * 1000))
    return Exchange(
        arguments.symbols or DEFAULT_SYMBOLS,
        start_ms=start,
        seed=arguments.seed,
        speed=arguments.speed,
        replay=replay,
        control_token=arguments.control_token or secrets.token_urlsafe(16),
    )


async def _serve(
    exchange: Exchange, host: str, port: int, stop: trio.Event, *, faults_seed: int | None = None
) -> int:
    from ..simulator.random_faults import play_random
    from ..simulator.server import serve_exchange

    status = 0
    try:
        async with trio.open_nursery() as nursery:
            _announce(exchange, host, await nursery.start(serve_exchange, exchange, host, port))
            if faults_seed is not None:
                nursery.start_soon(play_random, exchange, faults_seed)
            await stop.wait()
            nursery.cancel_scope.cancel()
    except* OSError as errors:
        reason = root_cause_text(errors)
        print_message(f"cannot serve on {host} port {port}: {reason}")
        status = 1
    return status


def _announce(exchange: Exchange, host: str, port: int) -> None:
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print("The simulated exchange serves. To use it, set")
    print(f"BINANCE_REST_URL=http://{at} BINANCE_WS_URL=ws://{at}")
    print("To see and cause faults, from this machine:")
    header = f"Authorization: Bearer {exchange.control_token}"
    print(f"curl -H '{header}' http://localhost:{port}/sim/faults", flush=True)


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to 65535")


def _symbols(text: str) -> list[str]:
    try:
        symbols = [parse_symbol(entry) for entry in text.split(",") if entry.strip()]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not symbols:
        raise argparse.ArgumentTypeError("there must be one at least")
    return list(dict.fromkeys(symbols))


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if 0 < speed <= 1e6:
        return speed
    raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0, 1000000 at most")


def _moment(text: str) -> int:
    """UTC milliseconds since the epoch."""
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a time such as 2024-12-01T07:00, or milliseconds since the epoch"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _recording(text: str) -> tuple[str, Path]:
    symbol, equals, path = text.partition("=")
    if not (symbol and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} must be SYMBOL=FILE")
    try:
        return parse_symbol(symbol), Path(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
