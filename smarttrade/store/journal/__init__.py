"""The journal: a copy of the windows in Redis, written behind the store."""

from .actor import FLUSH_WITHIN, START_WITHIN, run_journal
from .batches import BEAT_EVERY
from .state import Journal

__all__ = ["BEAT_EVERY", "FLUSH_WITHIN", "START_WITHIN", "Journal", "run_journal"]
