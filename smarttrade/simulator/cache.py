"""The last few results of a pure computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Remembers the results computed last; the oldest goes first. Forgetting changes nothing."""

    def __init__(self, compute: Callable[[Key], Value], size: int) -> None:
        self._compute = compute
        self._size = size
        self._kept: dict[Key, Value] = {}

    def __call__(self, key: Key) -> Value:
        try:
            return self._kept[key]
        except KeyError:
            value = self._compute(key)
            if len(self._kept) >= self._size:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = value
            return value

    def clear(self) -> None:
        self._kept.clear()
