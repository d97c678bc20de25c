"""What faults make of REST answers and of refused handshakes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache

import trio

from .exchange import Exchange
from .faults import Faults
from .http import Request, Response, json_response
from .refusals import error_response, html_page

OVERLOADED = {
    "code": -1008,
    "msg": "Server is currently overloaded with other requests. Please try again in a few minutes.",
}
NONSENSE = {
    "html": b"<html><head><title>Just a moment...</title></head><body></body></html>",
    "object": b'{"surprise":true}',
    "null": b"null",
    "empty": b"",
}


def refuse_handshake(exchange: Exchange, request: Request) -> Response | None:
    """The answer to a handshake while a fault says that it fails; None without one."""
    switch = exchange.faults.handshake_status
    if (status := switch.value) is None or not exchange.faults.concern(request.host):
        return None
    return with_retry_after(exchange.faults, error_response(exchange, status, switch.seconds_left))


def with_retry_after(faults: Faults, response: Response) -> Response:
    """A refusal with the Retry-After that a fault asks for."""
    value = faults.retry_after.value
    if value is not None and response.status >= 400:
        headers = [header for header in response.headers if header[0] != "Retry-After"]
        response.headers = headers if value == "none" else [*headers, ("Retry-After", value)]
    return response


async def answer_with_faults(
    exchange: Exchange, request: Request, peer: str, answer: Callable[[], Response]
) -> Response:
    """What `answer` returns, or what the faults of the moment make of it."""
    faults = exchange.faults
    if not faults.concern(request.host):
        return answer()
    await faults.rest_hang.wait_off()
    if (slow := faults.rest_slow.value) is not None:
        await trio.sleep(slow)
    response = _refusal(exchange, request, peer) or _altered(faults, answer())
    response.bytes_per_second = faults.rest_drip.value
    return with_retry_after(faults, response)


def _refusal(exchange: Exchange, request: Request, peer: str) -> Response | None:
    faults = exchange.faults
    if _is_blocked(exchange, peer):
        return html_page(403)
    if (status := faults.rest_status.value) is not None:
        return error_response(exchange, status, faults.rest_status.seconds_left)
    if faults.overload.value is not None:
        return json_response(503, OVERLOADED)
    if (location := faults.redirect.value) is not None:
        return Response(302, b"", [("Location", location)], "text/html")
    symbols = faults.failing.value
    if symbols is not None and request.path.endswith("lines"):
        symbol = request.parameter("symbol")
        return html_page(500) if not symbols or symbol in symbols else None
    return None


def _is_blocked(exchange: Exchange, peer: str) -> bool:
    firewall, seconds = exchange.limits.firewall, exchange.faults.firewall.value
    if seconds is None:
        firewall.clear()
        return False
    return firewall.blocks(peer, trio.current_time(), seconds)


def _altered(faults: Faults, response: Response) -> Response:
    if (megabytes := faults.gzip_bomb.value) is not None:
        headers = [*response.headers, ("Content-Encoding", "gzip")]
        return Response(200, _gzip_bomb(megabytes), headers)
    if (nonsense := faults.rest_nonsense.value) is not None:
        body = NONSENSE.get(nonsense, response.body[: len(response.body) // 2])
        return Response(200, body, response.headers)
    return response


@lru_cache(2)
def _gzip_bomb(megabytes: int) -> bytes:
    """So much white space before the end of a JSON list."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    space = b" " * (1 << 20)
    parts = [compressor.compress(b"[")]
    parts += [compressor.compress(space) for _ in range(megabytes)]
    return b"".join([*parts, compressor.compress(b"]"), compressor.flush()])
