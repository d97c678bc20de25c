"""One hint for those who try the program without a network."""

from __future__ import annotations

import logging

from .messages import print_message

HINT = (
    "the exchange cannot be reached. Without a network, `smarttrade serve --simulated` brings an "
    "exchange of its own; `smarttrade check` reports what is wrong"
)


class OfflineHint(logging.Handler):
    """Prints the hint after the first record that the exchange is unavailable."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, dict) and record.msg.get("event") == "exchange_unavailable":
            logging.getLogger().removeHandler(self)
            print_message(HINT, level="warning")
