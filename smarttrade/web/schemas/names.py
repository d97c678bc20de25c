"""The public names of schemas, written down: renaming a class renames nothing for a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ...session import messages, requests
from .. import response_schemas
from ..udf import answers as udf
from .portable import portable

REFERENCE = "#/components/schemas/{name}"

SCHEMA_NAMES: dict[Any, str] = {
    # WebSocket
    messages.JsonCandle: "Candle",
    messages.CandleMessage: "CandleUpdate",
    messages.Error: "Error",
    messages.Heartbeat: "Heartbeat",
    messages.LegacyCandle: "LegacyCandle",
    messages.Pong: "Pong",
    messages.SeriesName: "SeriesName",
    messages.SessionLimitsInfo: "SessionLimits",
    messages.SnapshotMessage: "Snapshot",
    messages.StatusMessage: "Status",
    messages.SubscribedMessage: "Subscribed",
    messages.SubscriptionError: "SubscriptionError",
    messages.SymbolUpdate: "SymbolUpdate",
    messages.Welcome: "Welcome",
    requests.SubscriptionEntry: "Subscription",
    requests.Request: "Request",
    # REST
    response_schemas.Actor: "Actor",
    response_schemas.CandlePage: "CandlePage",
    response_schemas.ExchangeHost: "ExchangeHost",
    response_schemas.Gap: "Gap",
    response_schemas.Health: "Health",
    response_schemas.IntervalList: "IntervalList",
    response_schemas.NotReady: "NotReady",
    response_schemas.Problem: "Problem",
    response_schemas.Ready: "Ready",
    response_schemas.SeriesStatus: "SeriesStatus",
    response_schemas.StreamingStatus: "StreamingStatus",
    response_schemas.SymbolInfo: "SymbolInfo",
    response_schemas.SymbolNotTrading: "SymbolNotTrading",
    response_schemas.SymbolList: "SymbolList",
    response_schemas.System: "System",
    response_schemas.UnreadySeries: "UnreadySeries",
    # UDF
    udf.UdfConfig: "UdfConfig",
    udf.UdfError: "UdfError",
    udf.UdfExchange: "UdfExchange",
    udf.UdfSymbolMatch: "UdfSymbolMatch",
    udf.UdfHistory: "UdfHistory",
    udf.UdfNoData: "UdfNoData",
    udf.UdfSymbol: "UdfSymbol",
    udf.UdfSymbolType: "UdfSymbolType",
}


def schema_components(
    types: Iterable[Any],
) -> tuple[tuple[dict[str, Any], ...], dict[str, dict[str, Any]]]:
    """A schema for each type, and the components that they refer to, under their public names.

    All are as `portable.py` describes.

    Raises:
        KeyError: a class has no public name.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    names = {kind.__name__: name for kind, name in SCHEMA_NAMES.items()}
    references = {
        REFERENCE.format(name=old): REFERENCE.format(name=names[old]) for old in components
    }
    return (
        portable(_renamed(schemas, references)),
        {
            names[old]: portable(_renamed(schema, references)) | {"title": names[old]}
            for old, schema in components.items()
        },
    )


def _reference(name: str) -> str:
    return REFERENCE.format(name=name)


def _renamed(value: Any, references: dict[str, str]) -> Any:
    match value:
        case dict():
            return {key: _renamed(each, references) for key, each in value.items()}
        case list() | tuple():
            return type(value)(_renamed(each, references) for each in value)
        case str():
            return references.get(value, value)
        case _:
            return value
