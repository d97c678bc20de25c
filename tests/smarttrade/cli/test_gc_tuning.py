"""The garbage collector, and what is loaded once and kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from smarttrade.binance.wire import decode_klines
from smarttrade.cli.gc_tuning import (
    COLLECTIONS_AFTER_LOADING,
    FREEZES_AT_FIRST,
    LOADING_THRESHOLD,
    SERIES_PER_FREEZE,
    freezing,
)
from smarttrade.store.redis_format import candle_to_text
from smarttrade.store.stored_values import candles_from_list
from tests.fakes.candles import rows


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    gc.collect()
    yield
    gc.unfreeze()


def is_looked_at(kept: object) -> bool:
    return any(each is kept for each in gc.get_objects())


def test_what_a_full_collection_leaves_is_frozen_while_history_is_loaded() -> None:
    calls: list[tuple[int, int]] = []
    usual, before = gc.get_threshold(), list(gc.callbacks)
    with freezing(lambda done, total: calls.append((done, total))) as progress:
        assert gc.get_threshold() == LOADING_THRESHOLD
        progress(1, 2)
        kept: list[object] = []
        gc.collect(1)
        assert is_looked_at(kept)
        gc.collect()
        assert not is_looked_at(kept)
    assert calls == [(1, 2)]
    assert (gc.get_threshold(), gc.callbacks) == (usual, before)


def test_it_ends_some_collections_after_all_is_loaded() -> None:
    usual, before = gc.get_threshold(), list(gc.callbacks)
    with freezing(lambda *_: None) as progress:
        for _ in range(COLLECTIONS_AFTER_LOADING + 1):
            gc.collect()
        progress(2, 2)
        for _ in range(COLLECTIONS_AFTER_LOADING):
            assert gc.get_threshold() == LOADING_THRESHOLD
            gc.collect()
        assert (gc.get_threshold(), gc.callbacks) == (usual, before)
        kept: list[object] = []
        gc.collect()
        assert is_looked_at(kept)


def test_start_that_does_not_get_on_freezes_no_more() -> None:
    with freezing(lambda *_: None) as progress:
        for _ in range(2 * FREEZES_AT_FIRST):
            gc.collect()
        kept: list[object] = []
        gc.collect()
        assert is_looked_at(kept)
        progress(FREEZES_AT_FIRST * SERIES_PER_FREEZE, 10**6)
        gc.collect()
        assert not is_looked_at(kept)


def test_garbage_is_freed_and_not_frozen() -> None:
    class Node:
        pass

    with freezing(lambda *_: None):
        node = Node()
        node.itself = node  # type: ignore[attr-defined]
        alive = weakref.ref(node)
        del node
        gc.collect()
        assert alive() is None


def test_loading_makes_no_long_collection() -> None:
    """Objects by the hundred thousand, that stay; the longest collection sees a part of them."""
    sizes: list[int] = []
    kept: list[list[int]] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            sizes.append(sum(map(len, map(gc.get_objects, range(3)))))

    gc.freeze()
    gc.collect()  # a full collection waits until a quarter of what the last one left has come
    gc.callbacks.append(note)
    try:
        with freezing(lambda *_: None):
            kept += ([number] for number in range(200_000))
    finally:
        gc.callbacks.remove(note)
    assert len(sizes) > 5
    assert max(sizes) < 40_000


def test_history_is_no_work_of_the_collector() -> None:
    row = '[%d,"1","2","0.5","1.5","7",0,"0",0,"0","0","0"]'
    body = ("[" + ",".join(row % (60_000 * minute) for minute in range(1000)) + "]").encode()
    stored = [candle_to_text(each) for each in rows(0, 999)]
    before = len(gc.get_objects())
    kept = [decode_klines(body, 0), candles_from_list(stored, 0)]
    assert len(gc.get_objects()) - before < 20
    assert [len(each) for each in kept] == [1000, 1000]
