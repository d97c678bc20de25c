"""An exchange in a box: Binance's public REST and streams, with an invented or recorded market.

    exchange = Exchange(start_ms=..., seed=7)
    port = await nursery.start(serve_exchange, exchange, "127.0.0.1", 0)

For those who cannot reach Binance, and for every test: over sockets, or over any Trio stream with
`exchange.serve_stream(stream)`. It shares no code with the client that it tests, and knows no time
but Trio's, so it runs under a `MockClock` too. `faults.py`, `incidents.py` and `script.py` say what
can go wrong; `control.py` how to make it happen from outside.
"""

from .clock import ExchangeClock
from .exchange import Exchange
from .faults import Faults
from .incidents import (
    Alter,
    Cut,
    Delist,
    Expire,
    HalfOpen,
    Hole,
    Incident,
    List,
    Rename,
    ServerShutdown,
)
from .render import Row
from .replay import replay_start
from .script import (
    RANDOM_FAULTS,
    SYMBOL_FAULTS,
    Step,
    inject,
    play_random,
    random_script,
    run_script,
)
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
    "ExchangeClock",
    "Expire",
    "Faults",
    "HalfOpen",
    "Hole",
    "Incident",
    "List",
    "Rename",
    "Row",
    "ServerShutdown",
    "Step",
    "inject",
    "play_random",
    "random_script",
    "replay_start",
    "run_script",
    "serve_connection",
    "serve_exchange",
]
