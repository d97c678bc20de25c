"""How the exchange refuses: status, code, message and Retry-After.

Source: binance-spot-api-docs, rest-api.md, "HTTP Return Codes"; errors.md.
"""

from __future__ import annotations

from math import ceil, inf

from .exchange import Exchange
from .http import Headers, Response, json_response
from .rate_limits import Refusal

DEFAULT_RETRY_AFTER = 5  # seconds, of a refusal whose end is not known

TOO_MUCH_WEIGHT = (
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
BANNED = (
    "Way too much request weight used; IP banned until {until}. "
    "Please use WebSocket Streams for live updates to avoid bans."
)
RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms."
)


def refuse(exchange: Exchange, refusal: Refusal) -> Response:
    """429: back off. 418: banned for not having backed off."""
    message = BANNED if refusal.status == 418 else TOO_MUCH_WEIGHT
    until = exchange.now() + refusal.retry_after * 1000
    text = message.format(limit=exchange.limits.weight_limit, until=until)
    headers: Headers = [("Retry-After", str(refusal.retry_after))]
    return json_response(refusal.status, {"code": -1003, "msg": text}, headers)


def error_response(exchange: Exchange, status: int, seconds_left: float = inf) -> Response:
    """An answer with an error status; those that a proxy gives are HTML."""
    if status in (418, 429):
        wait = DEFAULT_RETRY_AFTER if seconds_left == inf else max(1, ceil(seconds_left))
        return refuse(exchange, Refusal(status, wait))
    if status == 451:
        return json_response(451, {"code": 0, "msg": RESTRICTED})
    return html_page(status)


def html_page(status: int) -> Response:
    page = f"<html><body><h1>{status}</h1></body></html>"
    return Response(status, page.encode(), [], "text/html")
