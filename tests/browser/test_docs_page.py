"""`/docs` in a browser."""

from __future__ import annotations

from .watched import Watched

ROUTES = "document.querySelectorAll('#rest details').length"
CHANNELS = "document.querySelectorAll('#socket h2').length"


def test_everything_is_shown_and_requests_can_be_tried(watched: Watched) -> None:
    watched.open("/docs")
    watched.wait_for(f"{ROUTES} > 15 && {CHANNELS} === 2", "all routes and both channels")
    route = watched.page.locator("#rest details").first
    route.locator("summary").click()
    route.get_by_label("limit").fill("2")
    route.get_by_role("button", name="Try").click()
    watched.wait_for("document.querySelector('#rest pre').className === 'good'", "an answer")
    answer = route.locator("pre").inner_text()
    assert answer.startswith("GET /candles/BTCUSDT/1m?limit=2\n200")
    assert '"candles"' in answer
    assert watched.complaints == []


def test_websocket_can_be_tried(watched: Watched) -> None:
    watched.open("/docs")
    watched.wait_for(f"{CHANNELS} === 2", "both channels")
    request = watched.page.locator("#socket details").first
    request.locator("summary").click()
    request.get_by_role("button", name="Send").click()
    heard = "document.querySelector('#socket pre').textContent"
    watched.wait_for(f'{heard}.includes(\'"type":"candle"\')', "a candle")
    assert '"type":"welcome"' in request.locator("pre").inner_text()
    request.get_by_role("button", name="Close").click()
    watched.wait_for(f"{heard}.includes('closed:')", "the end")
    assert watched.complaints == []
