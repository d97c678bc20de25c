"""What can be configured (`model.py`), and where it comes from (`sources.py`, `files.py`)."""

from .model import DEFAULT_INTERVALS, DEFAULT_REDIS_URL, DEFAULT_SYMBOLS, Settings
from .variables import VARIABLES, Variable

__all__ = [
    "DEFAULT_INTERVALS",
    "DEFAULT_REDIS_URL",
    "DEFAULT_SYMBOLS",
    "VARIABLES",
    "Settings",
    "Variable",
]
