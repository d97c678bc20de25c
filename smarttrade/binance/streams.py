"""Stream names, and how to subscribe to them: plain code.

Source: binance-spot-api-docs, web-socket-streams.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

import msgspec

from ..feed.venue import StreamRequest
from ..market.series import Series

MAX_URL_NAMES = 4096  # characters of stream names in a URL; many servers stop at 8190 for a line

MAX_REQUEST_SIZE = 4000
"""Bytes of one SUBSCRIBE. The exchange ignores longer ones without a reply: 4,088 bytes have been
seen answered, 4,106 not (binance-connector-rust, issue 27)."""


def stream_name(series: Series) -> str:
    """`btcusdt@kline_1m`; symbols are lower case there, intervals keep their case."""
    return f"{series.symbol.lower()}@kline_{series.interval.value}"


def stream_request(series: Sequence[Series]) -> StreamRequest:
    """Put as many streams into the URL as is safe, and the rest into SUBSCRIBE messages."""
    names = [stream_name(each) for each in series]
    length = 0
    in_url = []
    for name in names:
        quoted = quote(name, safe="@")  # some symbols are not ASCII
        length += len(quoted) + 1
        if length > MAX_URL_NAMES:
            break
        in_url.append(quoted)
    rest = names[len(in_url) :]
    messages = tuple(subscribe_request(part, number) for number, part in enumerate(_parts(rest), 1))
    return StreamRequest(f"/stream?streams={'/'.join(in_url)}", messages)


def subscribe_request(names: Iterable[str], request_id: int) -> str:
    """Ask for more streams on an open connection."""
    request = {"method": "SUBSCRIBE", "params": list(names), "id": request_id}
    return msgspec.json.encode(request).decode()


def _parts(names: Iterable[str]) -> Iterator[list[str]]:
    """Cut so that each part fits into a request."""
    empty = len(subscribe_request((), 1024))
    part: list[str] = []
    size = empty
    for name in names:
        added = len(name.encode()) + len('"",')
        if part and size + added > MAX_REQUEST_SIZE:
            yield part
            part, size = [], empty
        part.append(name)
        size += added
    if part:
        yield part
