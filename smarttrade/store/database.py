"""What the journal and the relay need of Redis, in our words.

`RedisDatabase` does it with Redis; the tests have one that runs in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..market.candle import Candle
from ..market.series import Series
from ..market.window_state import WindowState
from .redis_format import Entry, StoredGaps, StoreState


class DatabaseUnavailable(Exception):
    """It did not answer, or refused; whether anything was done is unknown.

    The message says why, and has no password in it.
    """


class ForeignFormat(Exception):
    """What is stored is in the format of another version of this program."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"written by another version, in format {found[:50]!r}")


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
    gaps: StoredGaps | None = None
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


class Written(NamedTuple):
    lengths: tuple[int, ...]
    """Of each group's list; -1 where it was not what was expected, and was left alone."""


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


class Position(NamedTuple):
    """A place in the change stream, and what holds there."""

    after: str
    """The last entry's own name."""
    seq: int
    """The last entry's number."""
    state: StoreState | None
    """None when nothing was ever written."""


class Database(Protocol):
    """Every method raises `DatabaseUnavailable`, and ends promptly when cancelled.

    What was cancelled may still be done; numbers and epochs keep that from doing harm.
    """

    async def acquire(self, leader: str, lease: float) -> Leading | Held:
        """Take or prolong the lease, for `lease` seconds.

        Raises:
            ForeignFormat: no one leads, but this version cannot read what is stored.
        """

    async def release(self, leader: str) -> None:
        """Give the lease up, if `leader` has it."""

    async def write(
        self, leader: str, epoch: int, lease: float, batch: Batch
    ) -> Written | Fenced | Lost | Late:
        """Write all of `batch` at once, or nothing; prolongs the lease, too."""

    async def quarantine(self, series: Sequence[Series]) -> None:
        """Move the lists of these series out of the way."""

    async def quarantine_all(self, series: Sequence[Series], found: str) -> None:
        """Move everything out of the way, with the lists of these series, if its format is that."""

    async def load(self, series: Sequence[Series]) -> list[StoredWindow]:
        """Read windows, in the given order."""

    async def position(self) -> Position:
        """The end of the change stream.

        Raises:
            ForeignFormat: it is not for us to read.
            Damaged: the state beside it is not ours.
        """

    async def follow(self, after: str, within: float) -> list[tuple[str, Entry]]:
        """The entries after that one, each with its name; waits for it up to `within` s.

        Raises:
            Damaged: an entry is not ours.
        """
