"""An exchange in a box: Binance's public REST and streams, with an invented or recorded market.

    exchange = Exchange(start_ms=..., seed=7)
    port = await nursery.start(serve_exchange, exchange, "127.0.0.1", 0)

For machines that cannot reach Binance, and for every test: over sockets, or over any Trio stream
with `serve_connection(exchange, stream)`. It shares no code with the client that it tests, and
uses no clock but Trio's, so it runs under a `MockClock` too. `faults.py` and `incidents.py` list
what can go wrong; `control.py` is how to cause it from outside.
"""

from .clock import SimulatedClock
from .exchange import Exchange
from .faults import Faults
from .incidents import (
    Alter,
    Cut,
    Delist,
    Expire,
    HalfOpen,
    Halt,
    Hole,
    Incident,
    List,
    Rename,
    RollBack,
    ServerShutdown,
)
from .random_faults import RANDOM_FAULTS, SYMBOL_FAULTS, play_random, random_script
from .render import Row
from .replay import replay_start
from .script import Step, inject, run_script
from .server import serve_connection, serve_exchange
from .symbols import DEFAULT_SYMBOLS

__all__ = [
    "DEFAULT_SYMBOLS",
    "RANDOM_FAULTS",
    "SYMBOL_FAULTS",
    "Alter",
    "Cut",
    "Delist",
    "Exchange",
    "Expire",
    "Faults",
    "HalfOpen",
    "Halt",
    "Hole",
    "Incident",
    "List",
    "Rename",
    "RollBack",
    "Row",
    "ServerShutdown",
    "SimulatedClock",
    "Step",
    "inject",
    "play_random",
    "random_script",
    "replay_start",
    "run_script",
    "serve_connection",
    "serve_exchange",
]
