"""Faults of a running exchange, and what it has done, over HTTP under `/sim`.

GET    /sim/faults   every fault with a line of help, and which are on
POST   /sim/faults   {"fault": "stall", "value": ["btcusdt@kline_1m"], "for": 30}
                     {"fault": "cut", "how": "fin", "which": "all"}
DELETE /sim/faults   turn everything off
GET    /sim/stats    connections, requests, weight
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import msgspec

from .exchange import Exchange
from .http import Request, Response, json_response
from .incidents import INCIDENTS
from .script import inject


def answer_control(exchange: Exchange, request: Request) -> Response:
    answer = _ANSWERS.get((request.method, request.path))
    if answer is None:
        return Response(404, (__doc__ or "").encode(), [], "text/plain")
    return answer(exchange, request)


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
    except (msgspec.DecodeError, TypeError, ValueError) as problem:
        return json_response(400, {"error": str(problem)})
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
                "open": len(exchange.transports),
                "streams": {
                    str(number): {
                        "peer": session.transport.peer,
                        "streams": len(session.subscriptions.names),
                    }
                    for number, session in exchange.sessions.items()
                },
            },
            "requests": _by_path(exchange),
            "handshakes": {str(status): times for status, times in stats.handshakes.items()},
            "events": stats.events,
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
