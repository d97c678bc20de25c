"""What the store counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StoreCounters:
    """Since the process started; survives restarts of the actor."""

    published: int = 0
    """Candle states published to the hub and the journal."""
    corrected: int = 0
    """Those of them that lie in the past: gaps filled late, and what the audit repaired."""
    missing: int = 0
    """Ranges of candles found missing, each once, and asked for."""
