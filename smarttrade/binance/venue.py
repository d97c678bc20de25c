"""Binance as the feed sees it."""

from __future__ import annotations

from . import rest, streams
from .hints import REST_VARIABLE, STREAM_VARIABLE, status_hint
from .limits import LIMITS
from .wire import BinanceDecoder


class Binance:
    """The spot market of binance.com, and of every endpoint that speaks its protocol.

    Implements `feed.venue.Venue`, which documents each part.
    """

    limits = LIMITS
    rest_variable = REST_VARIABLE
    stream_variable = STREAM_VARIABLE
    klines_request = staticmethod(rest.klines_request)
    listing_request = staticmethod(rest.listing_request)
    server_time_request = staticmethod(rest.server_time_request)
    used_weight = staticmethod(rest.used_weight)
    failure = staticmethod(rest.failure)
    stream_request = staticmethod(streams.stream_request)
    stream_decoder = BinanceDecoder
    status_hint = staticmethod(status_hint)


BINANCE = Binance()
