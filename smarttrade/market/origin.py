"""Which exchange candles come from.

An origin is a host name such as `binance.com`, or `simulated` for the built-in simulator.
"""

from __future__ import annotations

SIMULATED = "simulated"
