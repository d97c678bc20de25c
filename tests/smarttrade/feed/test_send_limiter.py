"""Times are in hundredths of a second; a window is any period, its end excluded."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from smarttrade.feed.send_limiter import SendLimiter

PERIOD = 100
LIMITS = st.integers(1, 20)
PONGS = st.lists(st.integers(0, 2000), max_size=100)


def most_in_a_window(times: Sequence[int]) -> int:
    return max((sum(at <= other < at + PERIOD for other in times) for at in times), default=0)


def simulate(max_messages: int, pongs: Sequence[int], messages: int) -> list[int]:
    """When each of `messages` is sent if all are ready at 0 and pongs are sent at `pongs`."""
    limiter = SendLimiter(max_messages, PERIOD)
    sent: list[int] = []
    now, pending = 0, sorted(pongs)
    while len(sent) < messages:
        while pending and pending[0] <= now:
            limiter.record(pending.pop(0), is_pong=True)
        ready_at = limiter.ready_at(now)
        if ready_at > now:
            now = min([int(ready_at), *pending[:1]])
            continue
        limiter.record(now, is_pong=False)
        sent.append(now)
    return sent


@given(LIMITS, PONGS)
def test_limit_holds_unless_pongs_alone_use_more_than_the_rest(
    max_messages: int, pongs: list[int]
) -> None:
    rest = max_messages - max(1, max_messages // 4)
    allowed: list[int] = []
    for at in sorted(pongs):
        if most_in_a_window([*allowed, at]) <= rest:
            allowed.append(at)
    sent = simulate(max_messages, allowed, messages=10)
    assert most_in_a_window([*sent, *allowed]) <= max_messages


@given(LIMITS, PONGS)
def test_no_message_is_sent_when_the_limit_is_reached(max_messages: int, pongs: list[int]) -> None:
    """Whatever the server does."""
    sent = simulate(max_messages, pongs, messages=10)
    for at in sent:
        before = [other for other in [*sent, *pongs] if at - PERIOD < other <= at]
        assert len(before) <= max_messages


@given(LIMITS, PONGS)
def test_message_waits_a_period_at_most_while_there_is_room(
    max_messages: int, pongs: list[int]
) -> None:
    rest = max_messages - max(1, max_messages // 4)
    allowed: list[int] = []
    for at in sorted(pongs):
        if most_in_a_window([*allowed, at]) <= rest:
            allowed.append(at)
    share = max(1, max_messages // 4)
    sent = simulate(max_messages, allowed, messages=3 * share)
    assert sent[0] <= PERIOD
    assert all(
        later - earlier <= PERIOD for earlier, later in zip(sent, sent[share:], strict=False)
    )


def test_pings_every_quarter_of_a_second_leave_one_message_a_second() -> None:
    """Of Binance's five."""
    pongs = [25 * number for number in range(40)]
    sent = simulate(5, pongs, messages=5)
    assert sent == [0, 100, 200, 300, 400]
    assert most_in_a_window([*sent, *pongs[:20]]) == 5
