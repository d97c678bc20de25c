"""Asking the store from a request: one time limit, and one answer when it cannot answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from actors import ActorDied, Mailbox, MailboxClosed, Reply

from ..store.messages import StoreMessage
from .problem import ProblemError

ANSWER_TIMEOUT = 5.0  # seconds; the store answers in microseconds unless it is being restarted

T = TypeVar("T")


async def ask(store: Mailbox[StoreMessage], make: Callable[[Reply[T]], StoreMessage]) -> T:
    """The store's answer.

    Raises:
        ProblemError: 503, when it does not answer.
    """
    try:
        with trio.fail_after(ANSWER_TIMEOUT):
            return await store.ask(make)
    except (trio.TooSlowError, ActorDied, MailboxClosed) as error:
        raise ProblemError(
            503, "store_unavailable", "the store does not answer; try again", retry_after=1
        ) from error
