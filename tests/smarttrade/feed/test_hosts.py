from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.feed.hosts import IN_A_ROW, TRIAL_TIMEOUT, Host, Hosts, Trouble

MAIN, SPARE = "https://main.test", "https://spare.test"
DAY = 86_400.0


def hosts(*urls: str, failures: int = 1) -> Hosts:
    return Hosts(urls or (MAIN, SPARE), failures=failures, chance=lambda: 1.0)


def taken(hosts: Hosts, now: float) -> Host:
    host = hosts.take(now)
    assert host is not None
    return host


def fail(
    hosts: Hosts, trouble: Trouble, now: float, *, said: float | None = None, asked: float = 0.0
) -> Host:
    """The host that is to be asked at `now` has `trouble` at once."""
    host = taken(hosts, now)
    hosts.failed(host, trouble, now, asked_at=asked or now, retry_after=said)
    return host


def test_first_host_is_preferred_until_another_has_answered_last() -> None:
    known = hosts()
    assert taken(known, 0).url == MAIN
    fail(known, Trouble.BLOCKED, 0)
    spare = taken(known, 0)
    assert spare.url == SPARE
    known.answered(spare)
    assert known.current == SPARE
    assert taken(known, DAY).url == SPARE


@pytest.mark.parametrize(
    ("trouble", "pauses"),
    [
        (Trouble.BLOCKED, [360, 720, 1440, 1800, 1800]),
        (Trouble.OVERLOADED, [90, 180, 300, 300]),
        (Trouble.SILENT, [60, 120, 240, 480, 600, 600]),
        (Trouble.FAILING, [1, 2, 4, 8, 10, 10]),
        (Trouble.LIMITED, [60, 60]),
        (Trouble.BANNED, [300, 300]),
    ],
)
def test_host_that_stays_in_trouble_is_left_alone_ever_longer(
    trouble: Trouble, pauses: list[float]
) -> None:
    known, now = hosts(MAIN), 10.0
    for pause in pauses:
        fail(known, trouble, now)
        assert known.take(now + pause - 0.01) is None
        assert known.wait(now) == pause
        now += pause


@pytest.mark.parametrize(
    ("trouble", "said", "seconds"),
    [
        (Trouble.LIMITED, 7.0, 7.0),
        (Trouble.LIMITED, 999_999_999.0, 600.0),
        (Trouble.BANNED, 7200.0, 7200.0),
        (Trouble.BANNED, 999_999_999.0, 3 * DAY),
        (Trouble.FAILING, 3600.0, 60.0),
        (Trouble.BLOCKED, 1.0, 1.0),
    ],
)
def test_what_an_answer_says_is_believed_within_bounds(
    trouble: Trouble, said: float, seconds: float
) -> None:
    known = hosts(MAIN)
    fail(known, trouble, 100, said=said)
    assert known.wait(100) == seconds


@pytest.mark.parametrize("trouble", list(Trouble))
def test_trouble_of_one_host_leaves_the_other_free_unless_it_is_counted_by_address(
    trouble: Trouble,
) -> None:
    known = hosts()
    fail(known, trouble, 0, said=60)
    spare = known.take(1)
    if trouble in (Trouble.LIMITED, Trouble.BANNED):
        assert spare is None
        assert known.limited == 1
    else:
        assert spare is not None
        assert spare.url == SPARE
        assert known.limited == 0


def test_requests_that_fail_together_count_once() -> None:
    known = hosts(MAIN)
    together = [taken(known, 5) for _ in range(20)]
    for number, host in enumerate(together):
        known.failed(host, Trouble.BLOCKED, 5 + number / 100, asked_at=5)
    assert known.wait(6) == pytest.approx(359)


def test_hosts_in_trouble_are_asked_in_turn() -> None:
    known = hosts()
    asked = [fail(known, Trouble.FAILING, now).url for now in (0, 1, 100, 200, 300)]
    assert asked == [MAIN, SPARE, MAIN, SPARE, MAIN]


def test_answer_after_a_limit_ends_it_for_all_hosts() -> None:
    known = hosts()
    fail(known, Trouble.LIMITED, 0)
    trial = taken(known, 60)
    assert known.take(60) is None
    known.answered(trial)
    assert known.wait(60, (trial.url,)) == 0


def test_longer_limit_that_is_said_to_another_request_counts() -> None:
    known = hosts(MAIN)
    one, other = taken(known, 0), taken(known, 0)
    known.failed(one, Trouble.LIMITED, 1, asked_at=0, retry_after=5)
    known.failed(other, Trouble.LIMITED, 2, asked_at=0, retry_after=50)
    assert known.wait(2) == 50


def test_single_failure_among_answers_is_no_trouble() -> None:
    """Of one symbol, say: the others must not wait for it."""
    known = hosts(MAIN, failures=3)
    for now in range(20):
        fail(known, Trouble.FAILING, now)
        if now % 2:
            known.answered(taken(known, now))
        assert known.wait(now) == 0


def test_failures_in_a_row_are_trouble_and_those_far_apart_are_not() -> None:
    known = hosts(MAIN, failures=3)
    for number in range(9):
        fail(known, Trouble.FAILING, number * (IN_A_ROW + 1))
        assert known.wait(number * (IN_A_ROW + 1)) == 0
    for now in (1000, 1001, 1002):
        fail(known, Trouble.FAILING, now)
    assert known.wait(1002) == 1


def test_one_request_shows_whether_a_host_is_well_again() -> None:
    known = hosts(MAIN)
    fail(known, Trouble.BLOCKED, 0)
    trial = taken(known, 360)
    assert known.take(361) is None
    known.answered(trial)
    assert all(known.take(361) for _ in range(5))


def test_trial_that_fails_is_enough() -> None:
    known = hosts(MAIN, failures=5)
    for _ in range(5):
        fail(known, Trouble.FAILING, 10)
    assert known.wait(10) == 1
    fail(known, Trouble.FAILING, 11)
    assert known.wait(11) == 2


def test_trial_that_is_given_up_lets_another_one_try() -> None:
    known = hosts(MAIN)
    fail(known, Trouble.BLOCKED, 0)
    known.dropped(taken(known, 360))
    assert known.take(361) is not None
    assert known.take(362) is None
    assert known.take(361 + TRIAL_TIMEOUT) is not None


def test_trouble_begins_with_its_shortest_pause_again_after_an_answer() -> None:
    known = hosts(MAIN)
    fail(known, Trouble.BLOCKED, 0)
    fail(known, Trouble.BLOCKED, 360)
    known.answered(taken(known, 1080))
    fail(known, Trouble.BLOCKED, 2000)
    assert known.wait(2000) == 360


def test_nothing_is_left_when_all_are_tried() -> None:
    known = hosts()
    assert known.take(0, (MAIN, SPARE)) is None
    assert known.wait(0, (MAIN, SPARE)) is None


def test_host_is_left_alone_for_what_was_found_out_otherwise() -> None:
    known = hosts()
    known.leave_alone(MAIN, Trouble.SILENT, 5)
    assert taken(known, 5).url == SPARE
    assert known.describe(15) == [
        {"host": "main.test", "state": "silent", "left_alone_for": 50.0},
        {"host": "spare.test", "state": "ok", "left_alone_for": 0.0},
    ]


def test_description_of_a_host_has_no_credentials() -> None:
    known = Hosts(["https://user:secret@proxy.test:8443/path?key=secret", "wss://[::1]:9443/ws"])
    assert [each["host"] for each in known.describe(0)] == ["proxy.test:8443", "[::1]:9443"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.1, 1.0, 20.0, 400.0]),
            st.sampled_from([None, *Trouble]),
            st.none() | st.floats(0, 10**10),
        ),
        max_size=40,
    )
)
def test_hosts_are_left_alone_for_a_bounded_time_and_never_asked_meanwhile(
    steps: list[tuple[float, Trouble | None, float | None]],
) -> None:
    known, now = hosts(failures=2), 0.0
    for passes, trouble, said in steps:
        now += passes
        wait = known.wait(now)
        assert wait is not None
        assert 0 <= wait <= 3 * DAY
        host = known.take(now)
        assert (host is None) == (wait > 0)
        if host is None:
            continue
        assert host.until <= now
        if trouble is None:
            known.answered(host)
            assert known.wait(now) == 0
        else:
            known.failed(host, trouble, now, asked_at=now, retry_after=said)
