"""What may be wrong with how values are read that someone else has stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import smarttrade.store.stored_values as decoder_module


@contextmanager
def numbers_without_bounds() -> Iterator[None]:
    """A stored number is read whatever it is."""
    with patch.object(decoder_module, "number_from_text", lambda text: int(text or b"0")):
        yield


@contextmanager
def future_believed() -> Iterator[None]:
    """A stored candle may be later than the exchange's clock."""
    with patch.object(decoder_module, "_latest", lambda _: decoder_module.LAST_TIME):
        yield
