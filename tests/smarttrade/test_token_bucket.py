from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.token_bucket import TokenBucket


def test_bucket_allows_a_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(burst=3, rate=2.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1000.4)
    assert bucket.take(1000.5)
    assert not bucket.take(1000.5)
    assert [bucket.take(9999.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 2), max_size=200), st.integers(1, 5), st.floats(0.1, 5))
def test_bucket_never_allows_more_than_burst_and_rate(
    pauses: list[float], burst: int, rate: float
) -> None:
    bucket, now, taken = TokenBucket(burst, rate), 50.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        assert taken <= burst + (now - 50.0) * rate + 1e-6
