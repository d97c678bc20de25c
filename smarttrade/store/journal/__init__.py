"""The journal: a copy of the windows in Redis, written behind the store."""

from .actor import FLUSH_TIMEOUT, START_TIMEOUT, run_journal
from .batches import HEARTBEAT_INTERVAL
from .state import Journal

__all__ = ["FLUSH_TIMEOUT", "HEARTBEAT_INTERVAL", "START_TIMEOUT", "Journal", "run_journal"]
