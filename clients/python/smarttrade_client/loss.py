"""Why a connection was lost, of the exceptions of `websockets`."""

from __future__ import annotations

from typing import NamedTuple

from websockets.exceptions import ConnectionClosed


class Loss(NamedTuple):
    reason: str
    code: int | None = None
    """The close code that the server sent."""


def loss_of(error: Exception) -> Loss:
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        return Loss(error.rcvd.reason or f"closed with {error.rcvd.code}", error.rcvd.code)
    if isinstance(error, TimeoutError):
        return Loss("no message in time")
    return Loss(str(error) or type(error).__name__)
