"""`/asyncapi.json`: AsyncAPI 3.0, made from the types of the messages and of the requests."""

from __future__ import annotations

from typing import Any, get_args

from werkzeug.routing import Map

from ... import __version__
from ...session import messages
from ...session.errors import CloseCode
from ...session.requests import Request, SubscriptionEntry
from .names import REFERENCE, SCHEMA_NAMES, schema_components
from .routes import path_of

CLOSES = {
    CloseCode.SHUTTING_DOWN: "the server shuts down; reconnect at once, with `since`",
    CloseCode.POLICY: "too many requests, or bad ones, or no subscription; do not reconnect",
    CloseCode.TOO_BIG: "a message was too long; do not reconnect",
    CloseCode.OVERLOADED: "overloaded, or the client was too slow; reconnect later, with `since`",
}

EXAMPLES = (
    ("one", {"symbol": "BTCUSDT", "interval": "1m"}),
    (
        "several",
        {
            "subscriptions": [
                {"symbol": "BTCUSDT", "interval": "1m"},
                {"symbol": "ETHUSDT", "interval": "1D"},
            ]
        },
    ),
    (
        "with a snapshot",
        {
            "action": "subscribe",
            "id": 7,
            "subscriptions": [{"symbol": "BTCUSDT", "interval": "1m", "snapshot": 500}],
        },
    ),
    (
        "coming back",
        {
            "action": "subscribe",
            "subscriptions": [{"symbol": "BTCUSDT", "interval": "1m", "since": 1733007600}],
        },
    ),
    (
        "no longer",
        {
            "action": "unsubscribe",
            "subscriptions": [{"symbol": "BTCUSDT", "interval": "1m"}],
        },
    ),
    ("what there is", {"action": "list"}),
    ("a sign of life", {"action": "ping", "id": 8}),
)


def asyncapi_document(url_map: Map) -> dict[str, Any]:
    """The whole document of an application; each channel's address is that of its function."""
    addresses = {rule.endpoint: path_of(rule) for rule in url_map.iter_rules() if rule.websocket}
    sent = get_args(messages.Message)
    _, schemas = schema_components([*sent, messages.LegacyCandle, Request, SubscriptionEntry])
    schemas["Request"]["properties"] |= {
        "id": {
            "anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}],
            "description": "Comes back in the answer.",
        },
        **schemas["Subscription"]["properties"],
    }
    names = [SCHEMA_NAMES[kind] for kind in sent]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "SmartTrade's WebSockets",
            "version": __version__,
            "description": "Live candles. A client ignores any `type` and any field that it does "
            f"not know. Close codes: {_closes()}.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "candles": {
                "address": addresses["session"],
                "description": "As many series as the client asks for.",
                "messages": {name: _message_reference(name) for name in ["Request", *names]},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            },
            "legacyCandles": {
                "address": addresses["legacy_session"],
                "description": "One series; the legacy single-symbol endpoint: the connection "
                "itself subscribes, at `?interval=`, which is `1m` if not given.",
                "parameters": {"symbol": {"description": "In any case.", "examples": ["BTCUSDT"]}},
                "messages": {"LegacyCandle": _message_reference("LegacyCandle")},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {
                            "type": "object",
                            "properties": {"interval": {"type": "string", "default": "1m"}},
                        },
                        "bindingVersion": "0.1.0",
                    }
                },
            },
        },
        "operations": {
            "receiveRequest": _operation("receive", "candles", ["Request"], "A client's request."),
            "sendMessage": _operation("send", "candles", names, "A message to a client."),
            "sendLegacyCandle": _operation("send", "legacyCandles", ["LegacyCandle"], "An update."),
        },
        "components": {
            "messages": {
                name: _message(name, schemas[name]) for name in ("Request", *names, "LegacyCandle")
            },
            "schemas": schemas,
        },
    }


def _closes() -> str:
    return "; ".join(f"{int(code)}: {why}" for code, why in CLOSES.items())


def _operation(action: str, channel: str, names: list[str], summary: str) -> dict[str, Any]:
    """The `action` is the server's, as whose description this is."""
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _message_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _message(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": schema.get("properties", {}).get("type", {}).get("const", name),
        "title": name,
        "summary": schema.get("description", ""),
        "contentType": "application/json",
        "payload": {"$ref": REFERENCE.format(name=name)},
    }
    if name == "Request":
        described["examples"] = [{"name": title, "payload": payload} for title, payload in EXAMPLES]
    return described
