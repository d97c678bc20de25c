"""Stream names, and how to subscribe to them: plain code.

Source: binance-spot-api-docs, web-socket-streams.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

import msgspec

from ..feed.venue import StreamRequest
from ..market.series import Series

MAX_URL_NAMES = 4096  # characters of stream names in a URL; many servers stop at 8190 for a line

NAMES_PER_REQUEST = 200  # streams in one SUBSCRIBE, about 4 KB


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
    chunks = [
        rest[start : start + NAMES_PER_REQUEST] for start in range(0, len(rest), NAMES_PER_REQUEST)
    ]
    messages = tuple(subscribe_request(chunk, number) for number, chunk in enumerate(chunks, 1))
    return StreamRequest(f"/stream?streams={'/'.join(in_url)}", messages)


def subscribe_request(names: Iterable[str], request_id: int) -> str:
    """Ask for more streams on an open connection."""
    request = {"method": "SUBSCRIBE", "params": list(names), "id": request_id}
    return msgspec.json.encode(request).decode()
