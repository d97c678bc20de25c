"""What the journal and the relay need of Redis, in our words.

`RedisDatabase` does it with Redis; the tests have one that runs in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..market.candle import Candle
from ..market.series import Series
from ..market.window_state import SeriesNotes, WindowState
from .origin import OwnExchange
from .redis_format import Entry, StoreState
from .shards import Shard


class DatabaseUnavailable(Exception):
    """It did not answer, or refused; whether anything was done is unknown.

    The message says why, and has no password in it.
    """


class ForeignFormat(Exception):
    """What is stored is in the format of another version of this program."""

    def __init__(self, found: bytes) -> None:
        shown = found[:50].decode(errors="replace")
        super().__init__(
            f"written by another version of this program, in format {shown!r}; it is not read, and"
            " not changed"
        )


# -- Writing --------------------------------------------------------------------------------


class Group(NamedTuple):
    """What is to be written about one series."""

    series: Series
    candles: Sequence[Candle]
    """In ascending order."""
    corrected: Sequence[bool] = ()
    """For each candle: whether it corrects the past. Of a whole window, nothing."""
    expected: int = -1
    """Length that the list has if it is ours, or -1 when that is unknown."""
    is_whole: bool = False
    """Whether these candles replace all that are there."""
    notes: SeriesNotes | None = None
    """None when nothing is new about them."""


@dataclass(frozen=True, slots=True)
class Batch:
    number: int
    """Greater than that of any batch before, also of those whose fate is unknown."""
    written: int
    """The number of the last batch known to be written; 0 for none in this epoch."""
    groups: Sequence[Group]
    state: StoreState | None
    """None when nothing is new."""
    is_heartbeat: bool
    """Whether an entry is added even if nothing changed."""
    time: int = 0
    """What the exchange's clock shows, in ms; 0 while that is unknown."""
    state_digest: str = ""
    """SHA-1 of the state that should be stored, to find out that it is not."""


class Written(NamedTuple):
    lengths: tuple[int, ...]
    """Of each group's list; -1 where it was not what was expected, and was left alone."""
    is_state_lost: bool = False
    """Whether the stored state is another than was written."""


class Fenced(NamedTuple):
    """Nothing was written: another one leads."""

    leader: str


class Lost(NamedTuple):
    """Nothing was written: what was written before is gone, or out of date."""


class Late(NamedTuple):
    """Nothing was written: a later batch was."""


class Leading(NamedTuple):
    epoch: int
    """Grows with every change of leader."""
    written: int
    """The number of the last batch that the leader wrote in this epoch; 0 for none."""
    time: int = 0
    """What the exchange's clock showed at the last batch, in ms; 0 if that is not known."""


class Held(NamedTuple):
    """Another one has the lease."""

    holder: str
    seconds_left: float


# -- Reading --------------------------------------------------------------------------------


class StoredWindow(NamedTuple):
    series: Series
    state: WindowState | None
    """None when nothing is stored, or when it is damaged."""
    damage: str | None
    """Why it cannot be read."""
    seq: int = 0
    """Number of the last entry of the change stream when this was read: it has what that says."""


class Position(NamedTuple):
    """A place in the change stream, and what holds there."""

    after: str
    """The last entry's own name."""
    seq: int
    """The last entry's number."""
    state: StoreState | None
    """None when nothing was ever written."""
    origin: str | None = None
    """Which exchange the candles are from; None when nothing was ever written."""
    time: int = 0
    """What the exchange's clock showed at the last batch, in ms; 0 if that is not known."""


class Database(Protocol):
    """A shard of a namespace, of one exchange's candles.

    Every method raises `DatabaseUnavailable`, and ends promptly when cancelled.

    What was cancelled may still be done; numbers and epochs keep that from doing harm. Candles are
    those of the origin that `acquire` or `position` found last.
    """

    exchange: OwnExchange | None
    """This process's own. A gateway has none, and reads what there is."""
    shard: Shard
    """Which one this is."""

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        """Take or prolong the lease, for `lease` seconds; quarantines what is damaged beside it.

        Raises:
            ForeignFormat: no one leads, but this version cannot read what is stored. Nothing of
                it is changed.
            ForeignOrigin: what is stored, or is being written, is of another exchange.
            WrongShardCount: what is stored is divided into another number of shards.
        """

    async def release(self, leader: str) -> None:
        """Give the lease up, if `leader` has it."""

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        """Write all of `batch` at once, or nothing; prolongs the lease, too."""

    async def quarantine(self, series: Sequence[Series]) -> None:
        """Move the lists of these series out of the way, and forget their notes."""

    async def load(self, series: Sequence[Series], time: int = 0) -> list[StoredWindow]:
        """Read windows, in the given order.

        `time` is what the exchange's clock shows, in ms; with 0, what it showed at the last batch
        that they have. What is later is damage.
        """

    async def former_format(self) -> str | None:
        """The format of what a version before 0.2.0 has stored in this namespace, if anything.

        It has other keys, and is neither read nor changed.
        """

    async def position(self) -> Position:
        """The end of the change stream.

        Raises:
            ForeignFormat: it is not for us to read.
            Damaged: the state beside it is not ours.
            WrongShardCount: what is stored is divided into another number of shards.
        """

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        """The entries after that one, each with its name; waits for it up to `within` s.

        Raises:
            ForeignFormat: another version leads.
            Damaged: an entry is not ours.
        """

    def reconnect(self) -> None:
        """Let the next calls have new connections: where Redis is may have changed."""
