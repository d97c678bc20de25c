"""The body of a response, compressed or not, and never more of it than is expected."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx

ACCEPTED_ENCODING = "gzip"
"""The only one that `read_body` reads, so that it bounds what a small body expands to: httpx itself
decodes without a limit."""

MAX_BODY = 8 * 1024 * 1024
"""Bytes, decoded. 1000 klines have 200 KB; what a listing says of 200 symbols has about 1 MB."""


class UnreadableBodyError(Exception):
    """It is too long, or encoded in another way than was asked for."""


async def read_body(response: httpx.Response, max_size: int = MAX_BODY) -> bytes:
    """Read a streamed response to its end.

    Raises:
        UnreadableBodyError: it is longer than `max_size` bytes, or its encoding is broken.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnreadableBodyError(f"unexpected encoding: {encoding[:20]!r}")
    inflate = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 16)
    body = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            room = max_size + 1 - len(body)
            body += chunk if inflate is None else _inflated(inflate, chunk, room)
            if len(body) > max_size:
                raise UnreadableBodyError(f"longer than {max_size} bytes")
    if inflate is not None and not inflate.eof:
        raise UnreadableBodyError("compressed data ends too early")
    return bytes(body)


def _inflated(inflate: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    try:
        return inflate.decompress(chunk, room)
    except zlib.error as error:
        raise UnreadableBodyError(str(error)) from error
