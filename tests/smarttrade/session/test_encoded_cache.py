from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.session.encoded_cache import EncodedCache


def test_least_recently_used_goes_first() -> None:
    cache = EncodedCache(max_bytes=10)
    cache.put("a", b"aaaa", 4)
    cache.put("b", b"bbbb", 4)
    assert cache.get("a", bytes) == b"aaaa"
    cache.put("c", b"cccc", 4)
    assert cache.get("b", bytes) is None
    assert (cache.get("a", bytes), cache.get("c", bytes)) == (b"aaaa", b"cccc")


def test_another_value_of_a_key_replaces_it() -> None:
    cache = EncodedCache(max_bytes=10)
    cache.put("a", b"a" * 8, 8)
    cache.put("a", b"b" * 6, 6)
    assert (cache.get("a", bytes), cache.bytes) == (b"bbbbbb", 6)


def test_value_over_the_limit_is_not_kept_and_removes_the_older_one() -> None:
    cache = EncodedCache(max_bytes=10)
    cache.put("a", b"a", 1)
    cache.put("a", b"a" * 11, 11)
    assert cache.get("a", bytes) is None
    assert cache.bytes == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12))))
def test_limit_holds_whatever_is_put(puts: list[tuple[int, int]]) -> None:
    cache = EncodedCache(max_bytes=10)
    for key, size in puts:
        cache.put(key, bytes(size), size)
        kept = [found for each in range(6) if (found := cache.get(each, bytes)) is not None]
        assert cache.bytes == sum(map(len, kept)) <= 10
