"""Which subscribers get which series.

Subscribers of the same series are one group: what they get is joined once, and the same bytes are
posted to each of their outboxes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from ..market.series import Series
from .frames import FrameBatch
from .legacy_order import LegacyOrder
from .subscriber import Subscriber


class SubscriberGroup:
    """Subscribers of exactly the same series, in the same form."""

    __slots__ = ("frames", "legacy", "legacy_orders", "members", "series")

    def __init__(self, series: frozenset[Series], *, legacy: bool) -> None:
        self.series = series
        self.legacy = legacy
        self.legacy_orders = {each: LegacyOrder(each.interval) for each in series if legacy}
        self.members: dict[Subscriber, None] = {}
        """In the order in which they joined."""
        self.frames: dict[Hashable, bytes] = {}
        """What is to be posted next."""

    def post(self) -> None:
        frames = tuple(self.frames.items())
        self.frames = {}
        batch = FrameBatch(b"".join([frame for _, frame in frames]), frames)
        for member in self.members:
            member.outbox.post(batch)


class Groups:
    def __init__(self) -> None:
        self._groups: dict[tuple[frozenset[Series], bool], SubscriberGroup] = {}
        self._of_series: dict[Series, dict[SubscriberGroup, None]] = {}

    def __iter__(self) -> Iterator[SubscriberGroup]:
        return iter(self._groups.values())

    def of(self, series: Series) -> Iterable[SubscriberGroup]:
        return self._of_series.get(series, ())

    def legacy_order(self, series: Series) -> LegacyOrder | None:
        """None while no legacy client has this series."""
        return next((g.legacy_orders[series] for g in self.of(series) if g.legacy), None)

    def members(self, series: Iterable[Series]) -> list[Subscriber]:
        """Each subscriber of some of these series, once."""
        groups = dict.fromkeys(group for each in series for group in self.of(each))
        return [member for group in groups for member in group.members]

    def served(self, symbol: str) -> list[Series]:
        """The series of a symbol that have subscribers."""
        return [series for series in self._of_series if series.symbol == symbol]

    def join(self, subscriber: Subscriber, series: frozenset[Series]) -> frozenset[Series]:
        """Add a subscriber; return its series, as an object that the whole group shares."""
        name = (series, subscriber.legacy)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = SubscriberGroup(series, legacy=subscriber.legacy)
            for each in series:
                self._of_series.setdefault(each, {})[group] = None
        group.members[subscriber] = None
        return group.series

    def leave(self, subscriber: Subscriber, series: frozenset[Series]) -> None:
        name = (series, subscriber.legacy)
        group = self._groups[name]
        group.members.pop(subscriber, None)
        if group.members:
            return
        del self._groups[name]
        for each in series:
            groups = self._of_series[each]
            del groups[group]
            if not groups:
                del self._of_series[each]
