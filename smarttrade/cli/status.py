"""`smarttrade status`: how a running backend does, once or again and again.

Exit statuses: 0 it is ready; 1 it is not, or it cannot be asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from ..feed.network import Network
from ..settings.values import url
from ..web.response_schemas import Problem, StreamingStatus, System
from .error_text import root_cause_text
from .messages import print_message, printable
from .options import authorization, settings_from, url_of
from .signals import run_until_signal, until_stopped
from .status_view import Snapshot, draw

WATCH_INTERVAL = 2.0  # seconds between two looks
ANSWER_TIMEOUT = 3.0  # seconds; with the interval above, what is shown is never older than 5 s

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=base_url,
        help="of the backend, such as http://127.0.0.1:8000; usually where HOST and PORT say",
    )
    parser.add_argument("--watch", action="store_true", help="again every two seconds")
    parser.add_argument("--json", action="store_true", help="a JSON object per line, for programs")


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments).settings
    address = arguments.url or url_of(settings.host, settings.port)
    if arguments.url is None and settings.tls_cert is not None:
        address = address.replace("http:", "https:", 1)
    status = Status(address, authorization(settings))
    if arguments.json:
        show = partial(status.report_json, forever=arguments.watch)
    else:
        show = partial(status.watch if arguments.watch else status.look)
    return run_until_signal(partial(until_stopped, show))


class BackendUnavailable(Exception):
    """The backend does not answer, or not as one of ours."""


def _client() -> httpx.AsyncClient:
    return Network.direct().http_client()


class Status:
    """Asks one backend, and shows what it says."""

    def __init__(
        self,
        address: str,
        headers: dict[str, str],
        *,
        client: Callable[[], httpx.AsyncClient] = _client,
    ) -> None:
        self._address = address.rstrip("/")
        self._headers = headers
        self._client = client

    async def look(self) -> int:
        """Show it once; the exit status."""
        from rich.console import Console

        async with self._client() as http:
            try:
                snapshot = await self.ask(http)
            except BackendUnavailable as error:
                print_message(str(error))
                return 1
        Console(highlight=False).print(draw(snapshot))
        return int(snapshot.reason is not None)

    async def watch(self) -> int:
        """Show it until cancelled."""
        from rich.live import Live
        from rich.text import Text

        async with self._client() as http:
            with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
                while True:
                    try:
                        shown = draw(await self.ask(http))
                    except BackendUnavailable as error:
                        shown = Text(str(error), "bold red")
                    live.update(shown, refresh=True)
                    await trio.sleep(WATCH_INTERVAL)

    async def report_json(self, *, forever: bool) -> int:
        """Print it as JSON once, or until cancelled; the exit status."""
        async with self._client() as http:
            while True:
                report: dict[str, Any] = {"address": self._address, "ready": False}
                try:
                    snapshot = await self.ask(http)
                except BackendUnavailable as error:
                    report["reason"] = str(error)
                else:
                    report |= {
                        "ready": snapshot.reason is None,
                        "reason": snapshot.reason,
                        "simulated": snapshot.system.simulated,
                        "system": snapshot.system,
                        "streaming": snapshot.streaming,
                    }
                print(msgspec.json.encode(report).decode(), flush=True)
                if not forever:
                    return int(not report["ready"])
                await trio.sleep(WATCH_INTERVAL)

    async def ask(self, http: httpx.AsyncClient) -> Snapshot:
        """Everything at about one instant.

        Raises:
            BackendUnavailable: it does not answer, or not as one of ours.
        """
        answers: dict[str, httpx.Response] = {}

        async def get(path: str) -> None:
            answers[path] = await self._get(http, path)

        await _at_once(*(partial(get, path) for path in ("/system", "/ready", "/streaming/status")))
        ready = answers["/ready"]
        return Snapshot(
            self._address,
            self._read(answers["/system"], System),
            self._read(answers["/streaming/status"], StreamingStatus),
            None if ready.is_success else self._read(ready, Problem).detail,
        )

    async def _get(self, http: httpx.AsyncClient, path: str) -> httpx.Response:
        try:
            with trio.fail_after(ANSWER_TIMEOUT):
                return await http.get(self._address + path, headers=self._headers)
        except trio.TooSlowError:
            raise BackendUnavailable(
                f"{self._address}: no answer in {ANSWER_TIMEOUT:g} s"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise BackendUnavailable(f"{self._address}: {root_cause_text(error)}") from error

    def _read(self, answer: httpx.Response, kind: type[T]) -> T:
        wanted = kind if answer.is_success or kind is Problem else Problem
        try:
            found = msgspec.convert(printable(msgspec.json.decode(answer.content)), wanted)
        except msgspec.MsgspecError:
            text = f"{answer.url} answers {answer.status_code}, and not as SmartTrade does"
            raise BackendUnavailable(text) from None
        if isinstance(found, kind):
            return found
        assert isinstance(found, Problem)
        raise BackendUnavailable(f"{answer.url} answers {answer.status_code}: {found.detail}")


async def _at_once(*asks: Callable[[], Awaitable[None]]) -> None:
    """All of them; the first failure ends the others, and is raised as it is."""
    failures: list[BackendUnavailable] = []

    async def one(ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
        except BackendUnavailable as error:
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for ask in asks:
            nursery.start_soon(one, ask)
    if failures:
        raise failures[0]


def base_url(text: str) -> str:
    """The address of a backend; a host and a port alone will do."""
    text = text if "://" in text else f"http://{text}"
    try:
        return url("http", "https")(text)
    except ValueError:
        host = urlsplit(text).netloc or text
        raise argparse.ArgumentTypeError(f"{host!r} must be an http:// or https:// URL") from None
