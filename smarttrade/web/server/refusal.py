"""Refuse a client for which there is no room, before Hypercorn sees it."""

from __future__ import annotations

import json
from contextlib import suppress

import trio

from ..edge.context import CLOSED_ERRORS, discard
from .tls import tls_handshake

REFUSE_TIMEOUT = 2.0  # seconds from the accept to our close
RETRY_AFTER = 10  # seconds

_DETAILS = {
    "too_many_connections": "this server has as many connections as it allows",
    "too_many_connections_from_your_address": (
        "there are as many connections from your address as this server allows"
    ),
}


async def refuse(stream: trio.abc.Stream, code: str) -> None:
    """Answer 503 whatever was asked; the caller closes. Returns within REFUSE_TIMEOUT.

    The answer does not wait for the question: a client that never asks costs no more than others.
    """
    with trio.move_on_after(REFUSE_TIMEOUT), suppress(*CLOSED_ERRORS):
        if await tls_handshake(stream, within=REFUSE_TIMEOUT):
            await stream.send_all(refusal(code))
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            await discard(stream)


def refusal(code: str) -> bytes:
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "code": code,
            "detail": _DETAILS[code],
        }
    ).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        f"retry-after: {RETRY_AFTER}\r\n"
        "access-control-allow-origin: *\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
