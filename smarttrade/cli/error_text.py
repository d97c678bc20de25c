"""Error messages of one line, for the user of a command."""

from __future__ import annotations

from collections.abc import Iterator


def matching_error_text(
    error: BaseException,
    kinds: tuple[type[BaseException], ...],
    errnos: tuple[int, ...] | None = None,
) -> str | None:
    """The message of the first error of these kinds, groups included; None if there is none."""
    for leaf in _leaves(error):
        if isinstance(leaf, kinds) and (errnos is None or getattr(leaf, "errno", 0) in errnos):
            return _line(str(leaf))
    return None


def root_cause_text(error: BaseException) -> str:
    """The operating system's message if it caused the error, or else the error's own."""
    found: OSError | None = None
    cause: BaseException | None = error
    while cause is not None:
        leaf = next(_leaves(cause))
        if isinstance(leaf, OSError) and leaf.strerror:
            found = leaf
        cause = _cause(leaf)
    return _line((found and found.strerror) or str(error) or repr(error))


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    if error.__context__ is not None and not error.__suppress_context__:
        return error.__context__
    # httpcore breaks the chain with "from None", but the cause is the argument of its errors.
    return next((argument for argument in error.args if isinstance(argument, BaseException)), None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _line(text: str) -> str:
    return " ".join(text.split())
