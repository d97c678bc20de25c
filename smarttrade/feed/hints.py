"""What the operator can do when the exchange cannot be reached: plain code."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from .proxy import ProxyError


def wrong_server_hint(variable: str) -> str:
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
                return wrong_server_hint(variable)
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
