"""Makes the screenshots of the documentation, with an exchange and a service of its own.

    python -m tests.browser.screenshots docs/images

The names say what they show: page, size, colours, and what is not as usual.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page

from tests.fakes.ports import free_port

from .chromium import launched
from .processes import Exchange, Service, SimulatedService

SIZES = {"desktop": (1280, 760), "phone": (390, 780), "side": (844, 390)}
SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "LTC", "ADA", "ALGO", "ATOM", "POL")
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
SETTLE = 5  # seconds, for updates to come
UNTIL_DOWN = 15  # seconds, until the service reports a feed that stalled or was cut


class Scene(NamedTuple):
    """One picture: its name is page, size and colours."""

    page: str
    size: str
    scheme: str
    path: str
    suffix: str = ""

    @property
    def name(self) -> str:
        return f"{self.page}-{self.size}-{self.scheme}{self.suffix}.png"


INDICATORS = "?symbol=BTCUSDT&interval=5m&ma=20,ema=50,vwap&rsi=14"
GRID = "?symbol=BTCUSDT&interval=1m&more=ETHUSDT:5m,SOLUSDT:1h,BTCUSDT:1d&ma=20"
LIVE = (
    Scene("chart", "desktop", "dark", ""),
    Scene("chart", "desktop", "light", INDICATORS, "-indicators"),
    Scene("chart", "desktop", "dark", GRID, "-grid"),
    Scene("chart", "phone", "light", ""),
    Scene("chart", "side", "dark", ""),
    Scene("inspect", "desktop", "light", "inspect"),
    Scene("inspect", "phone", "dark", "inspect"),
    Scene("inspect-ws", "desktop", "dark", "inspect-ws"),
)
STALE = (Scene("chart", "desktop", "light", "", "-stale"),)
DOWN = (
    Scene("chart", "phone", "dark", "", "-down"),
    Scene("inspect", "desktop", "dark", "inspect", "-down"),
)
HALTED = (Scene("chart", "desktop", "light", "", "-halted"),)
SIMULATED = (Scene("chart", "desktop", "light", "", "-simulated"),)


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    symbols = [f"{each}USDT" for each in SYMBOLS]
    with (
        launched() as browser,
        Exchange(free_port(), speed=1, symbols=symbols) as exchange,
        Service(free_port(), exchange, intervals=INTERVALS) as service,
    ):
        take_all(browser, service.url, LIVE, directory)
        exchange.stall()
        take_all(browser, service.url, STALE, directory, UNTIL_DOWN)
        exchange.clear()
        exchange.go_away()
        take_all(browser, service.url, DOWN, directory, UNTIL_DOWN)
    with launched() as browser, Exchange(free_port(), speed=1, symbols=symbols) as exchange:
        exchange.halt("BTCUSDT")
        until = "/ready?for=traffic"
        with Service(free_port(), exchange, intervals=INTERVALS, until=until) as service:
            take_all(browser, service.url, HALTED, directory)
    with launched() as browser, SimulatedService(free_port()) as simulated:
        take_all(browser, simulated.url, SIMULATED, directory)


def take_all(
    browser: Browser, url: str, scenes: tuple[Scene, ...], directory: Path, settle: float = SETTLE
) -> None:
    for scene in scenes:
        path = directory / scene.name
        take(browser, url, scene, path, settle)
        print(path, path.stat().st_size)


def take(browser: Browser, url: str, scene: Scene, path: Path, settle: float) -> None:
    width, height = SIZES[scene.size]
    is_phone = scene.size != "desktop"
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scene.scheme == "dark" else "light",
        is_mobile=is_phone,
        has_touch=is_phone,
        device_scale_factor=2 if is_phone else 1,
    )
    page.goto(f"{url}/{scene.path}")
    page.wait_for_timeout(settle * 1000)
    point_at_a_candle(page)
    page.screenshot(path=path)
    page.close()


def point_at_a_candle(page: Page) -> None:
    """Make the crosshair and its legend visible."""
    chart = page.locator(".chart").first
    box = chart.bounding_box() if chart.count() else None
    if box is not None:
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4)
        page.wait_for_timeout(200)


if __name__ == "__main__":
    main()
