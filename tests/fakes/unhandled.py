"""Faults of the simulated exchange that the service does not handle yet.

Random menus leave them out, so that they find new bugs and not these; a fault that is handled is
removed from here. `python -m tests.simulation --kinds` plays them all the same.
"""

from __future__ import annotations

UNHANDLED: frozenset[str] = frozenset()
