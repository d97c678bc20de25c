"""Errors as clients get them: `application/problem+json` with a stable `code`.

Source: RFC 9457, "Problem Details for HTTP APIs".
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Response


class ProblemError(Exception):
    """Ends a request with a problem document.

    `code` is stable and for programs; `detail` is a sentence for people that names the offending
    value and what is allowed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        """Seconds."""
        self._headers = headers or {}
        self._extra = extra

    def document(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": str(self),
            **self._extra,
        }

    def parts(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        headers = {"Content-Type": "application/problem+json", **self._headers}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return self.status, headers, msgspec.json.encode(self.document())

    def response(self) -> Response:
        status, headers, body = self.parts()
        return Response(body, status=status, headers=headers)
