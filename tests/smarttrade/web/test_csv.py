"""`GET /candles` as CSV."""

from __future__ import annotations

import csv
import gzip
import io

import httpx
import pytest

from tests.fakes.candles import BTC, at, candle, rows
from tests.smarttrade.web.backend import backend

PATH = "/candles/BTCUSDT/1m"
HEADER = ["time", "open", "high", "low", "close", "volume"]


def table(answer: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.text, newline="")))


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"{PATH}?format=csv", "*/*"),
        (f"{PATH}?format=csv", "application/json"),
        (PATH, "text/csv"),
        (PATH, "application/json;q=0.5, text/csv"),
    ],
)
async def test_rows_are_the_candles_of_the_json(path: str, accept: str) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        await server.live(BTC, candle(2, closed=False, close=101.5, volume=0.00001))
        answer = await server.get(path, headers={"Accept": accept})
        expected = (await server.get(PATH, headers={"Accept": "*/*"})).json()["candles"]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert "Accept" in answer.headers["Vary"].split(", ")
    header, *body = table(answer)
    assert header == HEADER
    assert [[int(time), *map(float, numbers)] for time, *numbers in body] == [
        list(each.values()) for each in expected
    ]
    assert body[0][0] == str(at(0) // 1000)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/json", "text/csv;q=0.5, application/json"]
)
async def test_json_is_the_default(accept: str) -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        answer = await server.get(PATH, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


async def test_limit_before_and_etag_work_as_for_json() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 9))
        path = f"{PATH}?format=csv&limit=2&before={at(5) // 1000}"
        answer = await server.get(path)
        again = await server.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        as_json = await server.get(path.replace("csv", "json"))
    assert [row[0] for row in table(answer)[1:]] == [str(at(3) // 1000), str(at(4) // 1000)]
    assert again.status_code == 304
    assert as_json.headers["ETag"] != answer.headers["ETag"]


async def test_long_csv_is_compressed() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 499))
        stream = await server.listener.connect()
        request = f"GET {PATH}?format=csv HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"
        await stream.send_all(request.encode())
        await server.settle()
        head, _, body = (await stream.receive_some(100_000)).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert len(gzip.decompress(bytes(body)).splitlines()) == 501


async def test_unknown_format_is_refused() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        answer = await server.get(f"{PATH}?format=xml")
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_format"
    assert "'xml'" in answer.json()["detail"]
