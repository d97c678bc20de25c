"""What a client can do wrong, and how its session ends.

The codes are stable: clients may rely on them. docs/client-protocol.md lists them with advice.
"""

from __future__ import annotations

from enum import IntEnum


class RequestError(Exception):
    """A request that cannot be carried out; the session goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CloseCode(IntEnum):
    """Why the server ends a session (RFC 6455, 7.4.1, and its registry)."""

    SHUTTING_DOWN = 1001
    """Reconnect: to another process, or to this one when it is back."""
    POLICY = 1008
    """Do not reconnect before the client is mended."""
    TOO_BIG = 1009
    """Do not reconnect before the client is mended."""
    OVERLOADED = 1013
    """Reconnect later, with `since`."""
