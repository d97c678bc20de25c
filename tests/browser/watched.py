"""A page in the browser, with its console errors."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, Page

from .processes import eventually

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Watched:
    """`page` is playwright's; `complaints` are console messages and uncaught errors."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self._context = browser.new_context(
            **({"viewport": {"width": 1280, "height": 800}} | options)
        )
        self._url = url
        self.complaints: list[str] = []
        self.words = "#state"
        """Selector of the element that shows whether the page is live."""
        self.page: Page = self._context.new_page()
        self.page.add_init_script(REPORT_VIOLATIONS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._context.close()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str = "/") -> Self:
        self.page.goto(self._url + path)
        return self

    # -- the chart page --------------------------------------------------------------------

    def open_chart(self, query: str = "") -> Self:
        """Open it, and wait until candles are drawn."""
        self.open(f"/{query}")
        self.wait_for("globalThis.smarttrade?.chart?.data.length > 0", "a chart with candles")
        return self

    def wait_for(self, condition: str, what: str, within: float = 20) -> None:
        """Wait until a JavaScript expression is true, by polling."""
        eventually(lambda: bool(self.page.evaluate(condition)), what, within)

    def wait_for_state(self, text: str, within: float = 20) -> None:
        selector = "document.querySelector('#state').textContent"
        self.wait_for(f"{selector} === {text!r}", f"the page shows {text!r}", within)

    def wait_for_text(self, selector: str, text: str) -> None:
        """What a key does may take until its script is loaded."""
        self.wait_for(f"document.querySelector({selector!r}).textContent === {text!r}", text)

    @property
    def held(self) -> list[dict[str, float]]:
        """The candles that the page has."""
        found: list[dict[str, float]] = self.page.evaluate("smarttrade.candles")
        return found

    @property
    def drawn(self) -> list[dict[str, float]]:
        """The candles that the chart library was given."""
        found: list[dict[str, float]] = self.page.evaluate("[...smarttrade.chart.data]")
        return found

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()
