"""What the operator can do about a status of the exchange's servers: plain code."""

from __future__ import annotations

from http import HTTPStatus

from ..feed.hints import wrong_server_hint

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
            return wrong_server_hint(variable)
    return None
