"""What the exchange says of many symbols, asked so that bad symbols do not hide the others.

One unknown symbol fails the whole question, and the answer does not say which; something before the
exchange may fail a question because of a symbol, too. So groups of which nothing is learnt are
halved, all of one size at a time, until the bad ones stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

import trio

from .concurrency import run_all
from .errors import ExchangeRefused, ExchangeUnavailable
from .rest import RestClient
from .venue import SymbolStatus

MAX_AT_ONCE = 200  # symbols in one question, 3 KB of URL; many servers stop at 8190 for a line

MAX_QUESTIONS_AT_ONCE = 4
"""Of the 20 connections: the rest is for history, whatever becomes of these questions."""

MAX_FAILED_FIRST = 15
"""Questions that fail, and none is answered, until it is not symbols that are to blame: one, two,
four and eight, of which one has no bad symbol if there are seven at most."""

SEARCH_TIMEOUT = 60.0
"""Seconds after which no smaller groups are asked about. What they would show, the next look will:
it begins with those of which nothing is known."""

NOT_LISTED = SymbolStatus("not listed", is_trading=False)

NOT_ANSWERED = SymbolStatus("questions about it fail", is_trading=False)
"""Of a symbol about which nothing is known, as only questions without it are answered."""

Statuses = Mapping[str, SymbolStatus]

_Group = Sequence[str]


async def symbol_statuses(
    symbols: Sequence[str], rest: RestClient, doubtful: AbstractSet[str] = frozenset()
) -> Statuses:
    """The status of each symbol that the exchange knows; `NOT_ANSWERED` where it does not say.

    `doubtful` are those that were not answered last time: they are asked about apart from others.

    Raises:
        ExchangeUnavailable: it does not answer, whatever it is asked about.
    """
    search = _Search(rest)
    good = [symbol for symbol in symbols if symbol not in doubtful]
    groups = [*_groups(good), *_groups([symbol for symbol in symbols if symbol in doubtful])]
    deadline = trio.current_time() + SEARCH_TIMEOUT
    while groups:
        await run_all(
            [partial(search.ask, group) for group in groups], at_once=MAX_QUESTIONS_AT_ONCE
        )
        groups = [half for group in search.take_unclear() for half in _halves(group)]
        is_over = not groups or trio.current_time() >= deadline
        search.check(is_over=is_over)
        if is_over:
            search.leave_open(groups)
            break
    return search.found


@dataclass(slots=True)
class _Search:
    """What the questions so far have shown."""

    rest: RestClient
    found: dict[str, SymbolStatus] = field(default_factory=dict)
    _unclear: list[_Group] = field(default_factory=list)
    """Groups to halve."""
    _is_answered: bool = False
    """Whether the exchange has answered any question, be it that it refuses it."""
    _failed: int = 0
    _failure: ExchangeUnavailable | None = None

    async def ask(self, group: _Group) -> None:
        """Ask about these symbols in one question, unless the exchange does not answer anyway."""
        if self._is_exchange_failing:
            return
        try:
            self.found |= await self.rest.symbol_statuses(group)
            self._is_answered = True
        except ExchangeRefused:
            self._is_answered = True
            if len(group) > 1:
                self._unclear.append(group)
        except ExchangeUnavailable as failure:
            self._failure = failure
            self._failed += 1
            if len(group) > 1:
                self._unclear.append(group)
            else:
                self.leave_open([group])

    def check(self, *, is_over: bool) -> None:
        """Raise when it is the exchange that does not answer, and not symbols that are bad."""
        is_in_vain = is_over and not self._is_answered
        if self._failure is not None and (is_in_vain or self._is_exchange_failing):
            raise self._failure

    @property
    def _is_exchange_failing(self) -> bool:
        if self._failure is None:
            return False
        is_host = self._failure.kind is not None
        return is_host or (not self._is_answered and self._failed >= MAX_FAILED_FIRST)

    def take_unclear(self) -> list[_Group]:
        """Groups of which nothing was learnt."""
        taken, self._unclear = self._unclear, []
        return taken

    def leave_open(self, groups: Sequence[_Group]) -> None:
        """Nothing is known of these."""
        self.found |= {symbol: NOT_ANSWERED for group in groups for symbol in group}


def _groups(symbols: Sequence[str]) -> list[_Group]:
    return [symbols[at : at + MAX_AT_ONCE] for at in range(0, len(symbols), MAX_AT_ONCE)]


def _halves(symbols: _Group) -> tuple[_Group, _Group]:
    middle = len(symbols) // 2
    return symbols[:middle], symbols[middle:]
