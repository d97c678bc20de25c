"""A namespace whose contents do not fit the settings of this process."""

from __future__ import annotations

from ..errors import Misconfigured


class NamespaceMismatch(Exception):
    """What is stored is not for this process; the message says what to change."""


class WrongNamespace(Misconfigured):
    """A process begins with a namespace that is not for it."""
