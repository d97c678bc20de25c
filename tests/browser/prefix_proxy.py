"""A front end that serves a few of the backend's addresses under a prefix of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

PREFIX = "/api/backend/"


class PrefixProxy:
    """Forwards `PREFIX` + path for each of `paths`, with content type and policy; else 404.

    It passes no query on, as front ends with a route for each path may do.
    """

    def __init__(self, backend: str, paths: Collection[str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix(PREFIX).partition("?")[0]
                if not self.path.startswith(PREFIX) or path not in paths:
                    self.send_error(404)
                    return
                answer = httpx.get(f"{backend}/{path}")
                self.send_response(answer.status_code)
                for name in ("Content-Type", "Content-Security-Policy"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
