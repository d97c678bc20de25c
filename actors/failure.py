"""What an exception that left a child means for its supervisor."""

from __future__ import annotations

import math

import trio

from .errors import Fatal, StrayCancelled


def child_failure(error: BaseException) -> BaseException:
    """What a child failed with, given the exception that left its cancel scope.

    The scope has absorbed every `trio.Cancelled` that belonged to it. One that is left
    either belongs to the end of the whole run, and is raised again, or is stray.
    """
    rest: BaseException | None = error
    if isinstance(error, BaseExceptionGroup):
        rest = error.split(trio.Cancelled)[1]
    elif isinstance(error, trio.Cancelled):
        rest = None
    if rest is not None:
        return rest
    if trio.current_effective_deadline() == -math.inf:
        raise error
    stray = StrayCancelled("trio.Cancelled without a cancellation")
    stray.__cause__ = error
    return stray


def fatal_part(error: BaseException | None) -> BaseException | None:
    """The part of a failure that no supervisor may absorb, taken out of its groups.

    That is a `Fatal`, or anything that is not an `Exception`: KeyboardInterrupt, SystemExit.
    """
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(fatal_part, error.exceptions)), None)
    absorbed = isinstance(error, Exception) and not isinstance(error, Fatal)
    return None if absorbed else error


def format_error(error: BaseException | None) -> str:
    """Type and message on one line; for a group with one member, those of the member."""
    if error is None:
        return "returned"
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return format_error(error.exceptions[0])
    return f"{type(error).__name__}: {error}"
