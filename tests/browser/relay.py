"""A network between browser and service that can be cut, or lose everything silently."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from tests.fakes.ports import free_port


class Relay:
    """Forwards TCP connections to `port` until a fault is set; runs in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._unanswered: list[socket.socket] = []
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._is_silent = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def swallow(self) -> None:
        """Lose everything from now on, without an error at either end, as when a laptop changes networks."""
        self._is_silent.set()

    def pass_on(self) -> None:
        """Forward new connections again; the old ones are lost."""
        self._is_silent.clear()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._is_over.is_set():
                if not self._is_silent.is_set():
                    self._refuse_unanswered()
                for key, _ in selector.select(0.05):
                    assert isinstance(key.fileobj, socket.socket)
                    self._serve(selector, key.fileobj)
            for one in self._pairs:
                one.close()
            self._refuse_unanswered()

    def _serve(self, selector: selectors.BaseSelector, ready: socket.socket) -> None:
        if ready is self._listener:
            self._accept(selector)
            return
        other = self._pairs.get(ready)
        if other is None:
            return
        with contextlib.suppress(OSError):
            data = ready.recv(65536)
            if self._is_silent.is_set():
                self._silenced(selector, ready, other)
                return
            if data:
                other.sendall(data)
                return
        self._forget(selector, ready, other)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        near, _ = self._listener.accept()
        if self._is_silent.is_set():
            self._unanswered.append(near)
            return
        far = socket.create_connection(self._target)
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _refuse_unanswered(self) -> None:
        """Reset connections whose bytes were lost, as a host that does not know them would."""
        for one in self._unanswered:
            one.close()
        self._unanswered.clear()

    @staticmethod
    def _silenced(
        selector: selectors.BaseSelector, one: socket.socket, other: socket.socket
    ) -> None:
        """Mark a connection that has lost bytes: it is useless, but stays open."""
        for each in (one, other):
            with contextlib.suppress(KeyError):
                selector.unregister(each)

    def _forget(
        self, selector: selectors.BaseSelector, one: socket.socket, other: socket.socket
    ) -> None:
        for each in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(each)
            self._pairs.pop(each, None)
            each.close()
