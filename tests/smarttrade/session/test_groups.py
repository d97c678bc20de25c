"""Which subscribers get which series, and in which order."""

from __future__ import annotations

from smarttrade.session.groups import Groups
from tests.fakes.candles import BTC

from .hub_clients import Client


def test_subscribers_are_served_in_the_order_in_which_they_joined() -> None:
    groups, subscribers = Groups(), [Client().subscriber for _ in range(50)]
    for each in sorted(subscribers, key=id, reverse=True):
        groups.join(each, frozenset([BTC]))
    assert groups.members([BTC]) == sorted(subscribers, key=id, reverse=True)
