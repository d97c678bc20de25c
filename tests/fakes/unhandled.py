"""Faults of the simulated exchange that the service does not handle yet.

Random menus leave them out, so that they find new bugs and not these; a fault that is handled is
removed from here. `python -m tests.simulation --kinds` plays them all the same.
"""

from __future__ import annotations

UNHANDLED = frozenset(
    {
        "halt",  # a start while no symbol trades ends the process
        "halt_one",
        "impossible",  # a kline that opens after its event becomes the newest candle
        "roll_back",  # a range that REST never lists is asked for again without an end
        "stale_rows",  # a row is taken as final because a later one is listed
        "symbol_failing",  # the service stays unready for one symbol
        "symbol_halted",
        "symbol_unknown",
        "unknown",  # what was refused is asked for again after up to five minutes
    }
)
