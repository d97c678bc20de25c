"""How an exchange, or the network in between, can fail.

* ExchangeError
  + ExchangeUnavailable   the network or the exchange failed: try the next endpoint, or later
    - StreamDown          a stream connection ended, or was never established
    - ExchangeBusy        the exchange limits our requests for a while
  + ExchangeRefused       the exchange rejects this request: repeating it will not help
  + NoSymbolLeft          none of the configured symbols is listed: the program cannot run
* Malformed               a payload that is not the exchange's
"""

from __future__ import annotations

from actors import Fatal

from .hosts import FailureKind


class ExchangeError(Exception):
    """Base class of what an exchange can do to the feed."""


class ExchangeUnavailable(ExchangeError):
    """The exchange could not be reached, or did not answer as the exchange does."""

    kind: FailureKind | None = FailureKind.FAILING
    """How the host fails; None when it may be this request only that failed."""
    retry_after: float | None = None
    """Seconds for which the answer asks to send nothing; None when it does not say."""


class StreamDown(ExchangeUnavailable):
    """A stream connection ended, whatever the reason."""

    status: int | None = None
    """Of the refused handshake, if that was the reason."""
    close_code: int | None = None
    """Of a connection that was open. Source: RFC 6455, 7.4.1."""
    hint: str | None = None
    """What the operator can do, where that is known."""


class ExchangeBusy(ExchangeUnavailable):
    """The exchange limits our requests: none is sent until `Hosts` allows it again."""


class ExchangeRefused(ExchangeError):
    """The exchange rejects a request, with its own error `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the exchange refuses: {message} ({code})")
        self.code = code


class NoSymbolLeft(ExchangeError, Fatal):
    """The exchange lists and trades none of the configured symbols."""


class Malformed(ValueError):
    """Not what the exchange's documents describe: something else may have answered."""
