"""The application without anything behind it, for what depends on its routes alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from werkzeug.routing import Map

from actors import ActorInfo, Mailbox, State
from smarttrade.session.candle_texts import CandleTexts
from smarttrade.session.draining import Draining
from smarttrade.store.messages import StoreMessage
from smarttrade.web.app import create_app
from smarttrade.web.schemas.asyncapi import asyncapi_document
from smarttrade.web.schemas.openapi import openapi_document
from smarttrade.web.services import Services


@cache
def url_map(*, has_clients: bool = True) -> Map:
    services = Services(
        store=Mailbox[StoreMessage]("store", capacity=1),
        texts=CandleTexts(),
        inspect=lambda: ActorInfo("service", State.RUNNING),
        draining=Draining(),
        heartbeat=25.0,
        has_clients=has_clients,
    )
    return create_app(services).url_map


@cache
def rest_document() -> dict[str, Any]:
    return openapi_document(url_map())


@cache
def websocket_document() -> dict[str, Any]:
    return asyncapi_document(url_map())
