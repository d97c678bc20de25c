"""Errors that have an exit status of their own."""

from __future__ import annotations

from actors import Fatal


class Misconfigured(Fatal):
    """What was found at run time does not fit the configuration; exit status 2.

    The message says what to change. Like `BadSettings`, but known only after the start.
    """
