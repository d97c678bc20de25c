"""What faults make of REST answers."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf

import trio

from .faults import Faults
from .http import Headers, Response, json_response

CODES = {429: -1003, 418: -1003, 403: -1000, 451: 0}
UNSAID = 5  # seconds of Retry-After, where nobody knows when the fault will be over

NONSENSE = {
    "html": b"<html><head><title>Just a moment...</title></head><body></body></html>",
    "object": b'{"surprise":true}',
    "null": b"null",
    "empty": b"",
}


def failure(status: int, seconds_left: float) -> Response:
    """An answer with an error status, and Retry-After where there is to be one."""
    if status in (403, 500, 502, 503, 504):
        page = f"<html><body><h1>{status}</h1></body></html>"
        return Response(status, page.encode(), [], "text/html")
    headers: Headers = []
    if status in (418, 429):
        wait = UNSAID if seconds_left == inf else max(1, ceil(seconds_left))
        headers.append(("Retry-After", str(wait)))
    message = (
        "Service unavailable from a restricted location according to 'b. Eligibility'."
        if status == 451
        else "Too much request weight used."
    )
    return json_response(status, {"code": CODES.get(status, -1000), "msg": message}, headers)


async def answer_with_trouble(faults: Faults, answer: Callable[[], Response]) -> Response:
    """What `answer` says, when and as the faults of the moment let it be said."""
    await faults.rest_hang.wait_off()
    if (slow := faults.rest_slow.value) is not None:
        await trio.sleep(slow)
    if (status := faults.rest_status.value) is not None:
        return failure(status, faults.rest_status.seconds_left)
    response = answer()
    if (nonsense := faults.rest_nonsense.value) is not None:
        body = NONSENSE.get(nonsense, response.body[: len(response.body) // 2])
        response = Response(200, body, response.headers)
    response.bytes_per_second = faults.rest_drip.value
    return response
