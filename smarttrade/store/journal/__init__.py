"""The journal: a copy of the windows in Redis, written behind the store."""

from .actor import FLUSH_TIMEOUT, START_TIMEOUT, run_journal
from .batches import BEAT_EVERY
from .state import Journal

__all__ = ["BEAT_EVERY", "FLUSH_TIMEOUT", "START_TIMEOUT", "Journal", "run_journal"]
