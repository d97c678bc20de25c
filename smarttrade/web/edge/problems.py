"""Refusals of Hypercorn's, as problem documents."""

from __future__ import annotations

from hypercorn.protocol.events import Body, EndBody, Event, Response

from ..problem import ProblemError

_PROBLEMS = {
    400: ("bad_request", "the request is malformed (RFC 9112)"),
    404: ("not_found", "there is no such host here"),
    413: ("body_too_large", "nothing here takes such a body"),
    431: ("head_too_large", "the request's headers are too large"),
    500: ("internal_error", "the request failed here"),
    501: ("not_implemented", "this transfer encoding is not supported, only chunked"),
}


def problem_for(status: int) -> ProblemError:
    """The answer to a request that is refused with `status` before the application sees it."""
    code, detail = _PROBLEMS.get(status, _PROBLEMS[400])
    return ProblemError(status, code, detail)


def problem_events(status: int, stream_id: int) -> list[Event]:
    """The whole response, after which the connection is closed."""
    _, headers, body = problem_for(status).parts()
    headers |= {"Content-Length": str(len(body)), "Connection": "close"}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return [
        Response(stream_id=stream_id, headers=lines, status_code=status),
        Body(stream_id=stream_id, data=body),
        EndBody(stream_id=stream_id),
    ]
