from __future__ import annotations

import gzip
from collections.abc import Sequence

import httpx
import pytest
import trio

from smarttrade.feed.bodies import UnreadableBodyError, read_body

LIMIT = 100_000


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        try:
            return next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None


def response(body: bytes, encoding: str | None = None, *, piece: int = 1000) -> httpx.Response:
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    return httpx.Response(200, headers=headers, stream=Pieces(pieces))


@pytest.mark.parametrize("body", [b"", b"[]", bytes(range(256)) * 390])
async def test_body_is_read_compressed_or_not(body: bytes) -> None:
    assert await read_body(response(body), LIMIT) == body
    assert await read_body(response(gzip.compress(body), "gzip"), LIMIT) == body
    assert await read_body(response(gzip.compress(body), "GZIP", piece=1), LIMIT) == body


async def test_body_as_long_as_allowed_is_read() -> None:
    assert len(await read_body(response(bytes(LIMIT)), LIMIT)) == LIMIT
    assert len(await read_body(response(gzip.compress(bytes(LIMIT)), "gzip"), LIMIT)) == LIMIT


async def test_longer_body_is_refused() -> None:
    with pytest.raises(UnreadableBodyError, match="longer than"):
        await read_body(response(bytes(LIMIT + 1)), LIMIT)


async def test_bomb_is_not_inflated() -> None:
    """A few kilobytes that mean a gigabyte: no more of it is made than is allowed."""
    bomb = gzip.compress(bytes(50 * 1024 * 1024))
    with pytest.raises(UnreadableBodyError, match="longer than"):
        await read_body(response(bomb, "gzip", piece=len(bomb)), LIMIT)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"no gzip", "gzip"), (gzip.compress(b"x" * 999)[:-9], "gzip"), (b"", "gzip"), (b"x", "br")],
)
async def test_broken_or_unexpected_encoding_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(UnreadableBodyError):
        await read_body(response(body, encoding), LIMIT)
