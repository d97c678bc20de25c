"""Makes the screenshots of the documentation from a running service.

    python -m tests.browser.screenshots http://127.0.0.1:8000 docs/images

Every page, at the size of a desktop and of a phone, light and dark: `chart-desktop-dark.png` and
so on. `--suffix -down` is added to the names, for a service whose feed is down.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page

from .chromium import launched

PAGES = {"chart": "", "inspect": "inspect", "inspect-ws": "inspect-ws"}
SIZES = {"desktop": (1280, 760), "phone": (390, 780)}
SCHEMES = ("light", "dark")


def main() -> None:
    options = read_options()
    options.directory.mkdir(parents=True, exist_ok=True)
    with launched() as browser:
        for name, size, scheme in product(PAGES, SIZES, SCHEMES):
            path = options.directory / f"{name}-{size}-{scheme}{options.suffix}.png"
            url = f"{options.url.rstrip('/')}/{PAGES[name]}"
            take(browser, url, size, scheme, path, options.settle)
            print(path, path.stat().st_size)


def take(browser: Browser, url: str, size: str, scheme: str, path: Path, settle: float) -> None:
    width, height = SIZES[size]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=size == "phone",
        has_touch=size == "phone",
        device_scale_factor=2 if size == "phone" else 1,
    )
    page.goto(url)
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


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--suffix", default="")
    parser.add_argument("--settle", type=float, default=6, help="seconds, for updates to come")
    return parser.parse_args()


if __name__ == "__main__":
    main()
