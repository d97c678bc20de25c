"""The contract of `Database`, by Redis and by its stand-in in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha1

import pytest
import trio

from smarttrade.market.candle import Candle
from smarttrade.market.gaps import Missing, Span
from smarttrade.market.window import WINDOW_SIZE
from smarttrade.market.window_state import Correction, SeriesNotes, WindowState
from smarttrade.store.database import (
    Batch,
    Database,
    Fenced,
    Group,
    Held,
    Late,
    Leading,
    Lost,
    Position,
    StoredWindow,
    Written,
)
from smarttrade.store.events import Published
from smarttrade.store.feed import Feed, FeedStatus
from smarttrade.store.origin import ForeignOrigin, OwnExchange
from smarttrade.store.redis_database import RedisDatabase
from smarttrade.store.redis_format import Entry, SeriesChange, StoreState, state_to_text
from tests.fakes.candles import BTC, ETH, at, candle
from tests.fakes.database import BINANCE, VirtualRedis

STATE = StoreState(("BTCUSDT", "ETHUSDT"), (BTC.interval,), FeedStatus(Feed.LIVE, 1.5))
LEASE = 60.0
TIME = at(1200)

Connect = Callable[..., Database]


@pytest.fixture
def connect(database_kind: str, redis_url: Callable[[str], str]) -> Connect:
    if database_kind == "virtual":
        return VirtualRedis().connect
    url = redis_url(database_kind)
    return lambda exchange=BINANCE: RedisDatabase(
        url, "test", timeout=2.0, stream_length=1000, exchange=exchange
    )


class Writer:
    """Leads, and writes batches with ever greater numbers."""

    def __init__(self, database: Database, name: str = "one") -> None:
        self.database = database
        self.name = name
        self.epoch = 0
        self.number = 0
        self.written = 0

    async def lead(self) -> Writer:
        claim = await self.database.acquire(self.name, LEASE)
        assert isinstance(claim, Leading)
        self.epoch = claim.epoch
        return self

    async def write(
        self, *groups: Group, state: StoreState | None = None, beat: bool = False
    ) -> Written | Fenced | Lost | Late:
        self.number += 1
        batch = Batch(self.number, self.written, groups, state, is_heartbeat=beat, time=TIME)
        outcome = await self.database.write(self.name, self.epoch, LEASE, batch)
        if isinstance(outcome, Written):
            self.written = self.number
        return outcome


def whole(*candles: Candle, notes: SeriesNotes | None = None) -> Group:
    return Group(BTC, candles, is_whole=True, notes=notes or SeriesNotes())


def some(*candles: Candle, corrected: bool = False, expected: int = -1) -> Group:
    return Group(BTC, candles, [corrected] * len(candles), expected=expected)


def entry(seq: int, state: StoreState | None, *changes: SeriesChange) -> Entry:
    return Entry(seq, state, changes, BINANCE.name, TIME)


async def stored(database: Database, time: int = 0) -> Sequence[Candle]:
    [window] = await database.load([BTC], time)
    return () if window.state is None else window.state.candles


async def entries(database: Database, after: str = "0-0") -> list[Entry]:
    return [entry for _, entry in await database.follow(after, 0.05)]


async def test_nothing_is_stored_at_first(connect: Connect) -> None:
    database = connect()
    assert await database.load([BTC, ETH]) == [
        StoredWindow(BTC, None, None),
        StoredWindow(ETH, None, None),
    ]
    assert await database.position() == Position("0-0", 0, None)
    assert await entries(database) == []


async def test_whole_window_comes_back_as_it_was(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    candles = [candle(n, close=0.1 + n / 3, volume=1e-8 * n) for n in range(5)]
    candles.append(candle(9, closed=False, from_rest=True))
    notes = SeriesNotes((Span(at(5), at(6)),), (Missing(at(7), at(9)),))
    assert await writer.write(whole(*candles, notes=notes)) == Written((6,))
    assert await connect().load([BTC]) == [
        StoredWindow(BTC, WindowState(tuple(candles), *notes), None, seq=1)
    ]
    assert await entries(connect()) == [entry(1, None, SeriesChange(BTC, True, (), notes))]


async def test_newer_candles_are_appended_and_the_newest_is_replaced(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(1, closed=False)))
    updates = candle(1), candle(2), candle(3, closed=False)
    assert await writer.write(some(*updates, expected=2)) == Written((4,))
    assert await stored(connect()) == (candle(0), *updates)
    [_, second] = await entries(connect())
    published = tuple(Published(BTC, each, False) for each in updates)
    assert second == entry(2, None, SeriesChange(BTC, False, published, None))


async def test_what_is_not_later_changes_nothing_and_is_not_announced(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    held = candle(0), candle(1, closed=False, event=20, volume=5.0)
    await writer.write(whole(*held))
    for stale in (
        candle(0, close=7.0),  # closed already
        candle(0, closed=False),
        candle(1, closed=False, event=10, volume=2.0),
        candle(1, closed=False, event=20, volume=5.0),
        candle(1, closed=False, event=30, volume=4.0, from_rest=True),
    ):
        assert await writer.write(some(stale)) == Written((2,))
    assert await stored(connect()) == held
    assert len(await entries(connect())) == 1


async def test_corrections_replace_and_fill_the_past(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(1), candle(4), candle(5, closed=False)))
    corrections = candle(1, close=7.0), candle(2), candle(3), candle(4, close=8.0)
    assert await writer.write(some(*corrections, corrected=True)) == Written((6,))
    assert await stored(connect()) == (candle(0), *corrections, candle(5, closed=False))
    [_, entry] = await entries(connect())
    assert [each.corrected for each in entry.changes[0].published] == [True] * 4


async def test_no_more_than_a_window_is_kept(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    candles = [candle(n) for n in range(1, WINDOW_SIZE + 3)]
    await writer.write(whole(*candles[:WINDOW_SIZE]))
    assert await writer.write(some(*candles[WINDOW_SIZE:])) == Written((WINDOW_SIZE,))
    assert await stored(connect()) == tuple(candles[2:])
    assert await writer.write(some(candle(0), corrected=True)) == Written((WINDOW_SIZE,))
    assert (await stored(connect()))[0] == candles[2]


async def test_list_of_another_length_is_left_alone(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    assert await writer.write(some(candle(1), expected=2)) == Written((-1,))
    assert await stored(connect()) == (candle(0),)
    assert len(await entries(connect())) == 1


async def test_gaps_alone_are_announced(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(3)))
    notes = SeriesNotes((Span(at(1), at(2)),))
    assert await writer.write(Group(BTC, [], notes=notes, expected=2)) == Written((2,))
    [window] = await connect().load([BTC])
    assert window.state == WindowState((candle(0), candle(3)), notes.holes)
    [_, second] = await entries(connect())
    assert second.changes == (SeriesChange(BTC, False, (), notes),)


async def test_state_and_heartbeats_are_announced(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(state=STATE)
    await writer.write()
    await writer.write(beat=True)
    assert await entries(connect()) == [entry(1, STATE), entry(2, None)]
    position = await connect().position()
    assert (position.seq, position.state) == (2, STATE)
    assert await entries(connect(), position.after) == []


async def test_only_one_leads_at_a_time(connect: Connect) -> None:
    database = connect()
    assert await database.acquire("one", LEASE) == Leading(1, 0)
    held = await database.acquire("two", LEASE)
    assert isinstance(held, Held)
    assert (held.holder, LEASE - 1 < held.seconds_left <= LEASE) == ("one@binance.com", True)
    assert await database.acquire("one", LEASE) == Leading(1, 0)
    await database.release("two")  # not its own
    assert isinstance(await database.acquire("two", LEASE), Held)
    await database.release("one")
    assert await database.acquire("two", LEASE) == Leading(2, 0)


async def test_lease_that_is_not_renewed_ends(connect: Connect) -> None:
    database = connect()
    await database.acquire("one", 0.1)
    await trio.sleep(0.2)
    assert await database.acquire("two", LEASE) == Leading(2, 0)


async def test_former_leader_writes_nothing(connect: Connect) -> None:
    """It was paused, and does not know that its time is over."""
    one = await Writer(connect(), "one").lead()
    await one.write(whole(candle(0)))
    await one.database.release("one")
    two = await Writer(connect(), "two").lead()
    await two.write(some(candle(1)))
    assert await one.write(whole(candle(7)), state=STATE) == Fenced("two")
    assert await stored(connect()) == (candle(0), candle(1))
    assert (await connect().position()).state is None
    assert await two.write(some(candle(2))) == Written((3,))


async def test_returning_leader_gets_the_number_of_its_last_batch(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    assert await writer.database.acquire("one", LEASE) == Leading(1, 1, TIME)


async def test_late_batch_is_ignored(connect: Connect) -> None:
    """It was given up, and written again with something newer; then it arrived after all."""
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    await writer.write(whole(candle(0), candle(1)))
    writer.number = 0
    assert await writer.write(whole(candle(0))) == Late()
    assert await stored(connect()) == (candle(0), candle(1))


async def test_server_that_lost_a_batch_is_noticed(connect: Connect) -> None:
    """As after a fail-over to a replica that was behind."""
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    writer.number = writer.written = 5
    assert await writer.write(some(candle(1))) == Lost()
    assert await stored(connect()) == (candle(0),)


async def test_what_is_quarantined_is_not_read(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    await writer.database.quarantine([BTC, ETH])
    assert await stored(connect()) == ()


async def test_whole_window_does_not_end_before_what_is_stored(connect: Connect) -> None:
    """The last guard: one that lags behind has missed candles, and the close of its newest."""
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(1), candle(2)))
    assert await writer.write(whole(candle(0), candle(1, closed=False))) == Written((3,))
    assert await stored(connect()) == (candle(0), candle(1), candle(2))


async def test_whole_window_replaces_what_is_later_than_the_exchanges_clock(
    connect: Connect,
) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(1201)))
    assert await writer.write(whole(candle(0), candle(1))) == Written((2,))
    assert await stored(connect()) == (candle(0), candle(1))


async def test_series_without_any_candle_is_known_to_be_empty(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    assert await writer.write(whole()) == Written((0,))
    assert await connect().load([BTC]) == [StoredWindow(BTC, WindowState(()), None, seq=1)]
    await writer.write(some(candle(0)))
    assert await stored(connect()) == (candle(0),)


async def test_corrections_come_back_in_order(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    notes = SeriesNotes(corrections=(Correction(at(3), at(8)), Correction(at(1), at(9))))
    await writer.write(whole(*map(candle, range(5)), notes=notes))
    [window] = await connect().load([BTC])
    assert window.state is not None
    assert window.state.corrections == notes.corrections


async def test_lost_state_is_noticed(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(state=STATE)
    digest = sha1(state_to_text(STATE).encode(), usedforsecurity=False).hexdigest()
    for expected, is_lost in ((digest, False), ("0" * 40, True), ("", False)):
        writer.number += 1
        batch = Batch(writer.number, 1, (), None, is_heartbeat=True, state_digest=expected)
        outcome = await writer.database.write("one", writer.epoch, LEASE, batch)
        assert outcome == Written((), is_lost)


# Another exchange's


TESTNET = OwnExchange("testnet.binance.vision")


async def test_another_exchanges_candles_are_neither_read_nor_written(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0)))
    other = connect(TESTNET)
    with pytest.raises(ForeignOrigin, match=r"binance\.com.*SMARTTRADE_REDIS_NAMESPACE"):
        await other.acquire("other", LEASE)
    assert await stored(other) == ()
    await writer.database.release("one")
    with pytest.raises(ForeignOrigin):
        await other.acquire("other", LEASE)
    assert await stored(connect()) == (candle(0),)


async def test_hosts_of_one_exchange_share_what_is_stored(connect: Connect) -> None:
    await (await Writer(connect()).lead()).write(whole(candle(0)))
    mirror = connect(OwnExchange("mirror.example:8443", frozenset({"binance.com"})))
    assert isinstance(await mirror.acquire("two", LEASE), Held)
    await connect().release("one")
    assert isinstance(await mirror.acquire("two", LEASE), Leading)
    assert await stored(mirror) == (candle(0),)
    assert (await mirror.position()).origin == "binance.com"


async def test_follower_without_an_exchange_reads_what_there_is(connect: Connect) -> None:
    await (await Writer(connect(TESTNET)).lead()).write(whole(candle(0)), state=STATE)
    follower = connect(None)
    position = await follower.position()
    assert (position.origin, position.time) == ("testnet.binance.vision", TIME)
    assert await stored(follower) == (candle(0),)


async def test_candles_later_than_the_exchanges_clock_are_damage(connect: Connect) -> None:
    await (await Writer(connect()).lead()).write(whole(candle(0), candle(50)))
    [fine] = await connect().load([BTC], at(50))
    [damaged] = await connect().load([BTC], at(40))
    assert fine.damage is None
    assert damaged.state is None
    assert "future" in (damaged.damage or "")


async def test_what_is_later_than_the_last_batch_is_damage(connect: Connect) -> None:
    writer = await Writer(connect()).lead()
    await writer.write(whole(candle(0), candle(1203)))
    [damaged] = await writer.database.load([BTC])
    assert "future" in (damaged.damage or "")
    times = [each.open_time for each in await stored(writer.database, at(1204))]
    assert times == [at(0), at(1203)]
    await writer.write(whole(candle(0), candle(1199)))
    assert [each.open_time for each in await stored(writer.database)] == [at(0), at(1199)]
