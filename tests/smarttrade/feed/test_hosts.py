from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.feed.hosts import IN_A_ROW, PROBE_TIMEOUT, FailureKind, Host, Hosts

MAIN, SPARE = "https://main.test", "https://spare.test"
DAY = 86_400.0


def hosts(*urls: str, failures: int = 1) -> Hosts:
    return Hosts(urls or (MAIN, SPARE), failures=failures, chance=lambda: 1.0)


def taken(hosts: Hosts, now: float) -> Host:
    host = hosts.take(now)
    assert host is not None
    return host


def fail(
    hosts: Hosts,
    kind: FailureKind,
    now: float,
    *,
    retry_after: float | None = None,
    asked: float = 0.0,
) -> Host:
    """The host that is to be asked at `now` fails at once."""
    host = taken(hosts, now)
    hosts.failed(host, kind, now, asked_at=asked or now, retry_after=retry_after)
    return host


def test_first_host_is_preferred_until_another_has_answered_last() -> None:
    known = hosts()
    assert taken(known, 0).url == MAIN
    fail(known, FailureKind.BLOCKED, 0)
    spare = taken(known, 0)
    assert spare.url == SPARE
    known.answered(spare)
    assert known.current == SPARE
    assert taken(known, DAY).url == SPARE


@pytest.mark.parametrize(
    ("kind", "pauses"),
    [
        (FailureKind.BLOCKED, [360, 720, 1440, 1800, 1800]),
        (FailureKind.OVERLOADED, [90, 180, 300, 300]),
        (FailureKind.SILENT, [60, 120, 240, 480, 600, 600]),
        (FailureKind.FAILING, [1, 2, 4, 8, 10, 10]),
        (FailureKind.LIMITED, [60, 60]),
        (FailureKind.BANNED, [300, 300]),
    ],
)
def test_circuit_of_a_host_that_goes_on_failing_is_open_for_longer_each_time(
    kind: FailureKind, pauses: list[float]
) -> None:
    known, now = hosts(MAIN), 10.0
    for pause in pauses:
        fail(known, kind, now)
        assert known.take(now + pause - 0.01) is None
        assert known.wait(now) == pause
        now += pause


@pytest.mark.parametrize(
    ("kind", "retry_after", "seconds"),
    [
        (FailureKind.LIMITED, 7.0, 7.0),
        (FailureKind.LIMITED, 999_999_999.0, 600.0),
        (FailureKind.BANNED, 7200.0, 7200.0),
        (FailureKind.BANNED, 999_999_999.0, 3 * DAY),
        (FailureKind.FAILING, 3600.0, 60.0),
        (FailureKind.BLOCKED, 1.0, 1.0),
    ],
)
def test_what_an_answer_says_is_believed_within_bounds(
    kind: FailureKind, retry_after: float, seconds: float
) -> None:
    known = hosts(MAIN)
    fail(known, kind, 100, retry_after=retry_after)
    assert known.wait(100) == seconds


@pytest.mark.parametrize("kind", list(FailureKind))
def test_failure_of_one_host_leaves_the_other_free_unless_it_is_counted_by_address(
    kind: FailureKind,
) -> None:
    known = hosts()
    fail(known, kind, 0, retry_after=60)
    spare = known.take(1)
    if kind in (FailureKind.LIMITED, FailureKind.BANNED):
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
        known.failed(host, FailureKind.BLOCKED, 5 + number / 100, asked_at=5)
    assert known.wait(6) == pytest.approx(359)


def test_hosts_that_are_half_open_are_asked_in_turn() -> None:
    known = hosts()
    asked = [fail(known, FailureKind.FAILING, now).url for now in (0, 1, 100, 200, 300)]
    assert asked == [MAIN, SPARE, MAIN, SPARE, MAIN]


def test_answer_after_a_limit_ends_it_for_all_hosts() -> None:
    known = hosts()
    fail(known, FailureKind.LIMITED, 0)
    probe = taken(known, 60)
    assert known.take(60) is None
    known.answered(probe)
    assert known.wait(60, (probe.url,)) == 0


def test_longest_limit_of_several_answers_counts() -> None:
    known = hosts(MAIN)
    one, other = taken(known, 0), taken(known, 0)
    known.failed(one, FailureKind.LIMITED, 1, asked_at=0, retry_after=5)
    known.failed(other, FailureKind.LIMITED, 2, asked_at=0, retry_after=50)
    assert known.wait(2) == 50


def test_single_failure_among_answers_opens_no_circuit() -> None:
    """Of one symbol, say: the others must not wait for it."""
    known = hosts(MAIN, failures=3)
    for now in range(20):
        fail(known, FailureKind.FAILING, now)
        if now % 2:
            known.answered(taken(known, now))
        assert known.wait(now) == 0


def test_failures_in_a_row_open_the_circuit_and_those_far_apart_do_not() -> None:
    known = hosts(MAIN, failures=3)
    for number in range(9):
        fail(known, FailureKind.FAILING, number * (IN_A_ROW + 1))
        assert known.wait(number * (IN_A_ROW + 1)) == 0
    for now in (1000, 1001, 1002):
        fail(known, FailureKind.FAILING, now)
    assert known.wait(1002) == 1


def test_one_request_shows_whether_a_host_is_well_again() -> None:
    known = hosts(MAIN)
    fail(known, FailureKind.BLOCKED, 0)
    probe = taken(known, 360)
    assert known.take(361) is None
    known.answered(probe)
    assert all(known.take(361) for _ in range(5))


def test_probe_that_fails_is_enough() -> None:
    known = hosts(MAIN, failures=5)
    for _ in range(5):
        fail(known, FailureKind.FAILING, 10)
    assert known.wait(10) == 1
    fail(known, FailureKind.FAILING, 11)
    assert known.wait(11) == 2


def test_probe_that_is_given_up_lets_another_one_try() -> None:
    known = hosts(MAIN)
    fail(known, FailureKind.BLOCKED, 0)
    known.abandoned(taken(known, 360))
    assert known.take(361) is not None
    assert known.take(362) is None
    assert known.take(361 + PROBE_TIMEOUT) is not None


def test_circuit_is_open_for_the_shortest_time_again_after_an_answer() -> None:
    known = hosts(MAIN)
    fail(known, FailureKind.BLOCKED, 0)
    fail(known, FailureKind.BLOCKED, 360)
    known.answered(taken(known, 1080))
    fail(known, FailureKind.BLOCKED, 2000)
    assert known.wait(2000) == 360


def test_nothing_is_left_when_all_are_tried() -> None:
    known = hosts()
    assert known.take(0, (MAIN, SPARE)) is None
    assert known.wait(0, (MAIN, SPARE)) is None


def test_circuit_is_opened_for_what_was_found_out_otherwise() -> None:
    known = hosts()
    known.open_circuit(MAIN, FailureKind.SILENT, 5)
    assert taken(known, 5).url == SPARE
    assert known.describe(15) == [
        {"host": "main.test", "state": "silent", "retry_in": 50.0},
        {"host": "spare.test", "state": "ok", "retry_in": 0.0},
    ]


def test_description_of_a_host_has_no_credentials() -> None:
    known = Hosts(["https://user:secret@proxy.test:8443/path?key=secret", "wss://[::1]:9443/ws"])
    assert [each["host"] for each in known.describe(0)] == ["proxy.test:8443", "[::1]:9443"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.1, 1.0, 20.0, 400.0]),
            st.sampled_from([None, *FailureKind]),
            st.none() | st.floats(0, 10**10),
        ),
        max_size=40,
    )
)
def test_circuits_are_open_for_a_bounded_time_and_no_host_is_asked_meanwhile(
    steps: list[tuple[float, FailureKind | None, float | None]],
) -> None:
    known, now = hosts(failures=2), 0.0
    for passes, kind, retry_after in steps:
        now += passes
        wait = known.wait(now)
        assert wait is not None
        assert 0 <= wait <= 3 * DAY
        host = known.take(now)
        assert (host is None) == (wait > 0)
        if host is None:
            continue
        assert host.open_until <= now
        if kind is None:
            known.answered(host)
            assert known.wait(now) == 0
        else:
            known.failed(host, kind, now, asked_at=now, retry_after=retry_after)
