"""Everything that the exchange, or the way to it, can do to us.

* ExchangeError
  + ExchangeUnavailable   the way or the other side failed: try the next endpoint, or later
    - StreamDown          a stream connection ended, or never came up
    - ExchangeBusy        it asked us to stay away for a while (429, 418)
  + ExchangeRefused       it understood the request and says no: asking again will not help
  + NoSymbolLeft          none of the configured symbols trades there: the program cannot run
"""

from __future__ import annotations

from actors import Fatal


class ExchangeError(Exception):
    """Base class of what the exchange can do to us."""


class ExchangeUnavailable(ExchangeError):
    """The exchange could not be reached, or did not answer as the exchange does."""


class StreamDown(ExchangeUnavailable):
    """A stream connection ended, whatever the reason."""

    status: int | None = None
    """Of the refused handshake, if that was the reason."""
    retry_after: float = 0.0
    """Seconds that the exchange asked us to wait before connecting again."""
    advice: str | None = None
    """What whoever runs the service can do, where that is known."""


class ExchangeBusy(ExchangeUnavailable):
    """The exchange limits our requests; nothing may be asked before `retry_after` is over."""

    def __init__(self, status: int, retry_after: float) -> None:
        super().__init__(f"the exchange limits our requests ({status}) for {retry_after:.0f} s")
        self.retry_after = retry_after
        """Seconds."""


class ExchangeRefused(ExchangeError):
    """The exchange's own error, by its `code`.

    Source: binance-spot-api-docs, errors.md.
    """

    INVALID_SYMBOL = -1121
    INVALID_INTERVAL = -1120

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the exchange refuses: {message} ({code})")
        self.code = code


class NoSymbolLeft(ExchangeError, Fatal):
    """The exchange lists and trades none of the configured symbols."""
