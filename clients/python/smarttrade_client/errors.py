"""What can go wrong.

SmartTradeError
├── ServerUnavailable     the server cannot be reached, or does not answer in time: try again
├── RequestFailed         the server refused a request; `code` is stable
├── SubscriptionRefused   the server does not have a series that was to be followed
└── SessionRefused        the server ended the connection and forbids another one
"""

from __future__ import annotations


class SmartTradeError(Exception):
    pass


class ServerUnavailable(SmartTradeError):
    pass


class RequestFailed(SmartTradeError):
    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status = status
        self.code = code


class SubscriptionRefused(SmartTradeError):
    def __init__(self, symbol: str | None, interval: str | None, code: str, message: str) -> None:
        super().__init__(message)
        self.symbol = symbol
        self.interval = interval
        self.code = code


class SessionRefused(SmartTradeError):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server closed with {code}: {reason or 'no reason'}")
        self.code = code
