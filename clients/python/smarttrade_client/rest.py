"""REST requests and answers, without any input or output."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from .errors import RequestFailed
from .events import Candle

TIMEOUT = 15.0  # seconds for a whole answer


def candles_path(symbol: str, interval: str) -> str:
    return f"candles/{quote(symbol, safe='')}/{quote(interval, safe='')}"


def candles_query(limit: int, before: int | None) -> dict[str, int]:
    return {"limit": limit} if before is None else {"limit": limit, "before": before}


def read_candles(answer: httpx.Response) -> list[Candle]:
    page = _read(answer)
    rows = page["candles"]
    return [Candle.read(row, closed=row is not rows[-1] or page["closed"]) for row in rows]


def read_names(answer: httpx.Response, what: str) -> list[str]:
    names: list[str] = _read(answer)[what]
    return names


def _read(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        RequestFailed: the server refused the request.
    """
    if answer.status_code == httpx.codes.OK:
        found: dict[str, Any] = answer.json()
        return found
    is_problem = "json" in answer.headers.get("Content-Type", "")
    problem = answer.json() if is_problem else {}
    detail = problem.get("detail", answer.reason_phrase)
    raise RequestFailed(answer.status_code, problem.get("code", "error"), detail)


def headers_of(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def base_url(url: str) -> str:
    return url.rstrip("/") + "/"


def websocket_url(url: str) -> str:
    return base_url(url).replace("http", "ws", 1) + "ws/candles"


def reason_of(error: Exception) -> str:
    return str(error) or type(error).__name__
