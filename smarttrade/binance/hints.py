"""What whoever runs the service can do when the way to the exchange fails: plain code."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

from .proxy import ProxyError

REST_VARIABLE, STREAM_VARIABLE = "BINANCE_REST_URL", "BINANCE_WS_URL"

_OPEN_HOSTS = {
    REST_VARIABLE: "https://data-api.binance.vision",
    STREAM_VARIABLE: "wss://data-stream.binance.vision",
}
"""For market data only; they answer in places where the others do not."""


def status_hint(status: int, variable: str) -> str | None:
    """What to do about an HTTP status; `variable` names the endpoints in use."""
    match status:
        case HTTPStatus.FORBIDDEN:
            return f"it refuses this machine; try another host in {variable}"
        case HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            host = _OPEN_HOSTS[variable]
            return (
                f"it does not serve this place; {host} in {variable} may, or a proxy in HTTPS_PROXY"
            )
        case HTTPStatus.NOT_FOUND | HTTPStatus.OK:
            return not_binance_hint(variable)
    return None


def not_binance_hint(variable: str) -> str:
    """What to do when what answers is not the exchange."""
    return f"something else answers there; see {variable}, and whether a proxy is in between"


def error_hint(error: BaseException, variable: str) -> str | None:
    """What to do about a connection that could not be opened."""
    for cause in _causes(error):
        match cause:
            case ProxyError():
                return "see HTTPS_PROXY and NO_PROXY"
            case socket.gaierror():
                return f"the name is not known: is this machine online, and {variable} right?"
            case ssl.SSLCertVerificationError():
                return (
                    "the certificate is not trusted: is this machine's clock right? "
                    "Behind a proxy that reads along, name its certificates in SSL_CERT_FILE"
                )
            case ssl.SSLError():
                return not_binance_hint(variable)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it. Some libraries keep that only as their error's argument."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    given = next((each for each in error.args if isinstance(each, BaseException)), None)
    yield from _causes(error.__cause__ or error.__context__ or given)
