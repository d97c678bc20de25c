"""A fault that is on or off, and may go off by itself."""

from __future__ import annotations

from math import inf
from typing import Any, Generic, TypeVar

import msgspec
import trio

T = TypeVar("T")


class Switch(Generic[T]):
    """On with a value, or off. Turn it at any moment; no task is needed for it to go off."""

    def __init__(self, kind: type[T], default: T, summary: str) -> None:
        """`default` is the value where none is given; `summary` says what the value means."""
        self.kind = kind
        self.default = default
        self.summary = summary
        self._value: T | None = None
        self._until = inf
        self._turned = trio.Event()

    def on(self, value: T | None = None, seconds: float = inf) -> None:
        """Turn on, for so many Trio seconds."""
        self._turn(self.default if value is None else value, seconds)

    def off(self) -> None:
        self._turn(None, inf)

    def set(self, value: Any, seconds: float) -> None:
        """As `on`, with a value from outside.

        Raises:
            ValueError: it is not of the right kind.
        """
        try:
            converted = None if value is None else msgspec.convert(value, self.kind, strict=False)
        except msgspec.ValidationError as problem:
            raise ValueError(str(problem)) from problem
        self.on(converted, seconds)

    @property
    def value(self) -> T | None:
        """None while it is off."""
        if self._value is not None and self._until <= trio.current_time():
            self._turn(None, inf)
        return self._value

    @property
    def seconds_left(self) -> float:
        """Until it goes off by itself; infinite where it does not."""
        return max(0.0, self._until - trio.current_time()) if self._until < inf else inf

    async def wait_off(self) -> None:
        """Return when it is off; at once if it is."""
        while self.value is not None:
            with trio.move_on_at(self._until):
                await self._turned.wait()

    def _turn(self, value: T | None, seconds: float) -> None:
        self._value = value
        self._until = trio.current_time() + seconds if seconds < inf else inf
        self._turned.set()
        self._turned = trio.Event()
