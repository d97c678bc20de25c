"""All of the REST surface that is not candles or status: routes, errors, origins, odd paths."""

from __future__ import annotations

import httpx
import pytest

from smarttrade.market.interval import Interval
from tests.fakes.candles import BTC, rows
from tests.smarttrade.web.backend import backend
from tests.smarttrade.web.raw_client import RawClient

EXPOSED = "Access-Control-Expose-Headers"
ALLOWED = "Access-Control-Allow-Origin"


async def test_health_is_exactly_this() -> None:
    async with backend() as server:
        answer = await server.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer.content == b'{"status":"ok"}'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_catalogue_is_in_the_configured_order() -> None:
    intervals = [Interval.DAY_1, Interval.MINUTE_1, Interval.MONTH_1]
    async with backend(symbols=["XRPUSDT", "BTCUSDT", "ADAUSDT"], intervals=intervals) as server:
        symbols = await server.get("/symbols")
        offered = await server.get("/intervals")
    assert symbols.json() == {"symbols": ["XRPUSDT", "BTCUSDT", "ADAUSDT"]}
    assert offered.json() == {"intervals": ["1d", "1m", "1M"]}
    assert symbols.headers["Content-Type"] == offered.headers["Content-Type"] == "application/json"


# Errors


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/candles", "/candles/", "/candles/BTCUSDT", "/candles/BTCUSDT/", "/SYMBOLS"],
)
async def test_unknown_path_is_a_problem_document(path: str) -> None:
    async with backend() as server:
        answer = await server.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert path in answer.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/candles/BTCUSDT/1m", "/health", "/ready", "/symbols"])
async def test_other_methods_are_not_allowed(method: str, path: str) -> None:
    async with backend() as server:
        answer = await server.http.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/candles/%00/1m", "unknown_symbol"),
        ("/candles/BTC%00USDT/1m", "unknown_symbol"),
        ("/candles/BTCUSDT%0d%0aX-Bad:%201/1m", "unknown_symbol"),
        ("/candles/B%C5%81CUSDT/1m", "unknown_symbol"),
        ("/candles/%F0%9F%92%A9/1m", "unknown_symbol"),
        ("/candles/%FF%FE/1m", "unknown_symbol"),
        ("/candles/%ZZ/1m", "unknown_symbol"),
        ("/candles/../1m", "unknown_symbol"),
        ("/candles/%2e%2e/1m", "unknown_symbol"),
        ("/candles/..%2f..%2fetc%2fpasswd/1m", "not_found"),
        ("/candles/BTCUSDT/1m/", "not_found"),
        ("/candles/BTCUSDT;v=1/1m", "unknown_symbol"),
        ("/candles/" + "A" * 5000 + "/1m", "unknown_symbol"),
        ("/candles/BTCUSDT/" + "1" * 5000, "unknown_interval"),
        ("/candles/BTCUSDT/1m%2F", "not_found"),
        ("/candles/<script>/1m", "unknown_symbol"),
        ("/candles/'%22/1m", "unknown_symbol"),
        ("/candles/BTCUSDT/%31%4D", "unknown_interval"),
    ],
)
async def test_odd_paths_are_answered_with_a_short_problem_document(path: str, code: str) -> None:
    """As raw bytes: httpx would tidy some of them up."""
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        stream = await server.listener.connect()
        await stream.send_all(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode())
        status, head, body = await RawClient(stream).response()
    assert status == 404, head
    assert b"application/problem+json" in head.lower()
    assert f'"code":"{code}"'.encode() in body
    assert len(body) < 400
    assert b"X-Bad" not in head


async def test_slashes_within_the_answer_are_no_redirect_to_elsewhere() -> None:
    async with backend() as server:
        stream = await server.listener.connect()
        await stream.send_all(b"GET //evil.example/../symbols HTTP/1.1\r\nHost: test\r\n\r\n")
        status, head, _ = await RawClient(stream).response()
    assert status in (308, 404)
    assert b"location: http://evil" not in head.lower()
    assert b"location: //" not in head.lower()


async def test_failure_of_ours_is_a_problem_document_without_details() -> None:
    async with backend() as server:
        from quart import Quart

        assert isinstance(server.app, Quart)

        async def fails() -> str:
            raise ZeroDivisionError("a secret")

        server.app._got_first_request = False
        server.app.add_url_rule("/fails", view_func=fails)
        answer = await server.get("/fails")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text
    assert answer.headers[ALLOWED] == "*"


# Origins


async def test_any_origin_may_read_by_default() -> None:
    async with backend() as server:
        await server.history(BTC, rows(0, 2))
        for path in ("/candles/BTCUSDT/1m", "/candles/NOPE/1m", "/nothing", "/health"):
            for headers in ({}, {"Origin": "http://localhost:3000"}, {"Origin": "null"}):
                answer = await server.get(path, headers=headers)
                assert answer.headers[ALLOWED] == "*"
                assert "Access-Control-Allow-Credentials" not in answer.headers
                assert {"ETag", "Retry-After"} <= set(answer.headers[EXPOSED].split(", "))


async def test_only_configured_origins_may_read() -> None:
    origins = ["https://charts.example.com", "http://localhost:3000"]
    async with backend(cors_origins=origins) as server:
        await server.history(BTC, rows(0, 2))

        async def allowed(origin: str | None) -> str | None:
            headers = {} if origin is None else {"Origin": origin}
            answer = await server.get("/candles/BTCUSDT/1m", headers=headers)
            assert answer.status_code == 200
            assert varies(answer) == {"accept", "accept-encoding", "origin"}
            allowed: str | None = answer.headers.get(ALLOWED)
            return allowed

        assert await allowed("https://charts.example.com") == "https://charts.example.com"
        assert await allowed("http://localhost:3000") == "http://localhost:3000"
        for other in (
            None,
            "https://charts.example.com.evil.test",
            "http://charts.example.com",
            "null",
            "*",
        ):
            assert await allowed(other) is None


def varies(answer: httpx.Response) -> set[str]:
    return {
        name.strip().lower()
        for value in answer.headers.get_list("Vary")
        for name in value.split(",")
    }


async def test_unchanged_answer_has_the_origin_too() -> None:
    async with backend(cors_origins=["https://a.example"]) as server:
        await server.history(BTC, rows(0, 2))
        etag = (await server.get("/candles/BTCUSDT/1m")).headers["ETag"]
        headers = {"Origin": "https://a.example", "If-None-Match": etag}
        answer = await server.get("/candles/BTCUSDT/1m", headers=headers)
    assert answer.status_code == 304
    assert answer.headers[ALLOWED] == "https://a.example"


async def test_preflight_allows_reading_and_nothing_else() -> None:
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "if-none-match",
    }
    async with backend() as server:
        answer = await server.http.options("/candles/BTCUSDT/1m", headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.content == b""
    assert answer.headers[ALLOWED] == "*"
    allowed = set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert allowed == {"GET", "HEAD", "OPTIONS"}
    assert answer.headers["Access-Control-Allow-Headers"] == "*, Authorization"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_origin_that_is_not_configured_gets_no_leave_in_its_preflight() -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    async with backend(cors_origins=["https://a.example"]) as server:
        answer = await server.http.options("/candles/BTCUSDT/1m", headers=headers)
    assert ALLOWED not in answer.headers


async def test_host_of_a_request_is_not_repeated() -> None:
    """The host of a request appears in no answer that is not a page."""
    async with backend() as server:
        for path in ("/health", "/symbols", "/nothing", "/candles/NOPE/1m"):
            answer = await server.get(path, headers={"Host": "evil.example"})
            assert "evil" not in answer.text + str(answer.headers)
