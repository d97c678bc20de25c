"""One page of candles as bytes, in JSON or CSV.

Most of a page stays what it was when its series changes: all candles but the last are closed. They
are joined, hashed and compressed once, and each change adds its last candle to that.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from enum import Enum
from functools import cached_property

from ..market.candle import Candle

COMPRESS_FROM = 1024  # bytes; less is not worth a client's while
GZIP_LEVEL = 5

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952, 2.3: no name, no time, any system
_RAW = -zlib.MAX_WBITS  # deflate without a head of its own


class PageFormat(Enum):
    """The value is the media type."""

    JSON = "application/json"
    CSV = "text/csv; charset=utf-8; header=present"  # RFC 4180, 3


class CachedPrefix:
    """A page up to its last candle."""

    def __init__(self, candles: Sequence[Candle], data: bytes) -> None:
        self.candles = candles
        self.data = data

    @cached_property
    def digest(self) -> hashlib.blake2b:
        return hashlib.blake2b(self.data, digest_size=12)

    @cached_property
    def checksum(self) -> int:
        return zlib.crc32(self.data)

    @cached_property
    def deflated(self) -> bytes:
        """Ends at a byte boundary because of the flush, so that more can follow."""
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW)
        return deflate.compress(self.data) + deflate.flush(zlib.Z_SYNC_FLUSH)


class EncodedPage:
    """A page as bytes, compressed when a client first accepts that."""

    def __init__(self, prefix: CachedPrefix, end: bytes, revision: int, media: PageFormat) -> None:
        self.prefix = prefix
        self._end = end
        self.revision = revision
        self._media = media
        digest = prefix.digest.copy()
        digest.update(end)
        # Weak: the compressed form is the same answer (RFC 9110, 8.8.1).
        self.etag = f'W/"{digest.hexdigest()}"'

    @property
    def body(self) -> bytes:
        return self.prefix.data + self._end

    @property
    def size(self) -> int:
        """Bytes of the text; the compressed form is never longer."""
        return len(self.prefix.data) + len(self._end)

    @cached_property
    def compressed(self) -> bytes:
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _RAW)
        return b"".join(
            (
                _GZIP_HEAD,
                self.prefix.deflated,
                deflate.compress(self._end),
                deflate.flush(),
                struct.pack("<LL", zlib.crc32(self._end, self.prefix.checksum), self.size),
            )
        )

    def respond(
        self, if_none_match: str, accept_encoding: str
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body for a client that sent these headers."""
        headers = {
            "ETag": self.etag,
            "Cache-Control": "no-cache",
            "Vary": "Accept, Accept-Encoding",
        }
        if _matches(if_none_match, self.etag):
            return 304, headers, b""
        if self.size >= COMPRESS_FROM and _accepts_gzip(accept_encoding):
            headers["Content-Encoding"] = "gzip"
            body = self.compressed
        else:
            body = self.body
        headers["Content-Type"] = self._media.value
        return 200, headers, body


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as If-None-Match requires (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    opaque = etag.removeprefix("W/")
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return opaque in tags or "*" in tags


def _accepts_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        coding, _, parameter = each.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            quality = parameter.replace(" ", "")
            return quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
