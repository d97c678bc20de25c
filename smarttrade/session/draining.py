"""Ends every session at once when the server shuts down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Draining:
    """Begins once. A session registers its cancel scope instead of waiting in a task of its own.

    A task is 2.5 KB, and there is a session for each of thousands of clients.
    """

    def __init__(self) -> None:
        self.begun = trio.Event()
        self._scopes: dict[trio.CancelScope, None] = {}  # in order

    def is_set(self) -> bool:
        return self.begun.is_set()

    def set(self) -> None:
        """Cancel all registered scopes; one that is registered later is cancelled at once."""
        self.begun.set()
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def cancels(self, scope: trio.CancelScope) -> Iterator[None]:
        if self.is_set():
            scope.cancel()
        self._scopes[scope] = None
        try:
            yield
        finally:
            del self._scopes[scope]
