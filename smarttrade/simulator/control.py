"""Faults of a running exchange, and what it has done, over HTTP under `/sim`.

GET    /sim/faults   every fault with a line of help, and which are on
POST   /sim/faults   {"fault": "stall", "value": ["btcusdt@kline_1m"], "for": 30}
                     {"fault": "cut", "how": "fin", "which": "all"}
DELETE /sim/faults   turn everything off
GET    /sim/stats    connections, requests, weight

Only from this machine, with `Authorization: Bearer TOKEN`, and JSON as `application/json`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from ipaddress import ip_address
from math import inf
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .exchange import Exchange
from .http import Request, Response, json_response
from .incidents import INCIDENTS
from .script import inject


def answer_control(exchange: Exchange, request: Request, peer: str) -> Response:
    """Answer what is under `/sim`; refuses whatever a web page could have sent."""
    refusal = _refuse(exchange, request, peer)
    if refusal is not None:
        status, reason = refusal
        return json_response(status, {"error": reason})
    answer = _ANSWERS.get((request.method, request.path))
    if answer is None:
        return Response(404, (__doc__ or "").encode(), [], "text/plain")
    return answer(exchange, request)


def _refuse(exchange: Exchange, request: Request, peer: str) -> tuple[int, str] | None:
    """The status and why, of the first check that fails; None for a request that may go on."""
    headers = request.headers
    host, origin = headers.get("host", ""), headers.get("origin")
    given = headers.get("authorization", "").encode()
    expected = f"Bearer {exchange.control_token}".encode()
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    checks = (
        (
            exchange.control_token is not None,
            404,
            "this exchange was started without a control token",
        ),
        (
            _is_local(peer),
            403,
            "faults are controlled from the exchange's own machine only",
        ),
        (
            # A page whose name resolves to this machine (DNS rebinding) sends that name.
            _is_local(urlsplit(f"//{host}").hostname or ""),
            403,
            f"the Host must be this machine, not {host!r}",
        ),
        (origin in (None, f"http://{host}"), 403, f"another origin: {origin!r}"),
        (
            secrets.compare_digest(given, expected),
            401,
            "the request needs Authorization: Bearer and the control token",
        ),
        (
            request.method != "POST" or content_type == "application/json",
            415,
            f"the body must be application/json, not {content_type!r}",
        ),
    )
    return next(((status, reason) for passes, status, reason in checks if not passes), None)


def _is_local(host: str) -> bool:
    """Of a host in a header, or of the address of a peer, which in memory is `memory`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "memory")


def _list_faults(exchange: Exchange, request: Request) -> Response:  # noqa: ARG001
    switches = {
        name: {
            "help": switch.summary,
            "default": switch.default,
            "value": switch.value,
            "seconds_left": None if switch.seconds_left == inf else round(switch.seconds_left, 1),
        }
        for name, switch in exchange.faults.switches()
    }
    incidents = {
        name: {
            "help": " ".join((incident.__doc__ or "").split()),
            "arguments": list(incident.__struct_fields__),
        }
        for name, incident in INCIDENTS.items()
    }
    return json_response(200, {"switches": switches, "incidents": incidents})


def _inject(exchange: Exchange, request: Request) -> Response:
    try:
        order = msgspec.json.decode(request.body, type=dict[str, Any])
        fault, seconds = str(order.pop("fault")), float(order.pop("for", inf))
        inject(exchange, fault, order, seconds)
    except KeyError:
        return json_response(400, {"error": 'the body needs a "fault"'})
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        return json_response(400, {"error": str(error)})
    return json_response(200, {"fault": fault, "time": exchange.now()})


def _clear(exchange: Exchange, request: Request) -> Response:
    exchange.faults.clear()
    return _list_faults(exchange, request)


def _stats(exchange: Exchange, request: Request) -> Response:  # noqa: ARG001
    stats = exchange.stats
    return json_response(
        200,
        {
            "time": exchange.now(),
            "connections": {
                "accepted": stats.connections,
                "open": len(exchange.connections.transports),
                "streams": {
                    str(number): {"peer": stream.transport.peer, "streams": len(stream.names)}
                    for number, stream in exchange.connections.streams.items()
                },
            },
            "requests": _by_path(exchange),
            "handshakes": {str(status): times for status, times in stats.handshakes.items()},
            "events": stats.events,
            "ignored_requests": stats.ignored,
            "weight": exchange.limits.used_weights(),
            "faults": dict(stats.faults),
        },
    )


def _by_path(exchange: Exchange) -> dict[str, dict[str, int]]:
    paths: dict[str, dict[str, int]] = {}
    for (path, status), times in sorted(exchange.stats.requests.items()):
        paths.setdefault(path, {})[str(status)] = times
    return paths


_ANSWERS: dict[tuple[str, str], Callable[[Exchange, Request], Response]] = {
    ("GET", "/sim/faults"): _list_faults,
    ("POST", "/sim/faults"): _inject,
    ("DELETE", "/sim/faults"): _clear,
    ("GET", "/sim/stats"): _stats,
}
