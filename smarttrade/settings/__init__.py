"""What can be configured (`model.py`), and where it comes from (`sources.py`, `files.py`)."""

from .exchange import DEFAULT_INTERVALS, DEFAULT_SYMBOLS
from .model import Settings
from .storage import DEFAULT_REDIS_URL
from .variables import VARIABLES, Variable

__all__ = [
    "DEFAULT_INTERVALS",
    "DEFAULT_REDIS_URL",
    "DEFAULT_SYMBOLS",
    "VARIABLES",
    "Settings",
    "Variable",
]
