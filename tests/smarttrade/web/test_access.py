from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarttrade.web.access import Access, AccessPolicy, Rates, RequestInfo, request_info

TOKEN, OTHER = "a-token-of-the-operator", "another-token.of_theirs"
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def asks(
    target: bytes = b"/candles/BTCUSDT/1m", method: bytes = b"GET", **fields: str
) -> RequestInfo:
    return RequestInfo(method, target, **fields)


# Tokens


def test_without_tokens_every_request_is_allowed() -> None:
    assert AccessPolicy(Access()).is_authorized(asks())


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_any_of_the_tokens_will_do_as_a_header_or_in_the_query(token: str) -> None:
    policy = AccessPolicy(Access(tokens=(TOKEN, OTHER)))
    assert policy.is_authorized(asks(authorization=f"Bearer {token}"))
    assert policy.is_authorized(asks(authorization=f"bearer  {token} "))
    assert policy.is_authorized(asks(f"/ws/candles?interval=1m&access_token={token}".encode()))


@pytest.mark.parametrize(
    "info",
    [
        asks(),
        asks(authorization=TOKEN),
        asks(authorization=f"Basic {TOKEN}"),
        asks(authorization=f"Bearer {TOKEN}x"),
        asks(authorization=f"Bearer {TOKEN[:-1]}"),
        asks(authorization="Bearer \xff"),
        asks(authorization="Bearer "),
        asks(b"/symbols?access_token="),
        asks(b"/symbols?access_token=wrong"),
        asks(b"/symbols?" + b"a=1&" * 200 + b"access_token=" + TOKEN.encode()),
        asks(b"/symbols", authorization=f"Bearer wrong, Bearer {TOKEN}"),
        asks(b"/health/../symbols"),
        asks(b"//health"),
        asks(b"/healthy"),
        asks(b"/static"),
        asks(b"http://test/health"),
        asks(b"/metrics"),
        asks(b"/ready"),
        asks(b"/system"),
    ],
)
def test_request_without_a_token_is_not_authorized(info: RequestInfo) -> None:
    assert not AccessPolicy(Access(tokens=(TOKEN,))).is_authorized(info)


@pytest.mark.parametrize(
    "info",
    [
        asks(b"/health"),
        asks(b"/health?x"),
        asks(b"/"),
        asks(b"/inspect"),
        asks(b"/static/app.js"),
        asks(method=b"OPTIONS"),
    ],
)
def test_paths_without_data_are_public(info: RequestInfo) -> None:
    assert AccessPolicy(Access(tokens=(TOKEN,))).is_authorized(info)


def test_tokens_are_not_shown() -> None:
    assert TOKEN not in repr(Access(tokens=(TOKEN,)))


@given(st.text(), st.text())
def test_nothing_but_a_token_is_a_token(authorization: str, query: str) -> None:
    policy = AccessPolicy(Access(tokens=(TOKEN,)))
    target = b"/symbols?" + query.encode("utf-8", "surrogatepass")
    assert not policy.is_authorized(asks(target, authorization=authorization))


# Origins


def test_by_default_pages_from_anywhere_may_open_websockets() -> None:
    assert AccessPolicy(Access()).allows_origin(asks(origin="https://elsewhere.example"))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),  # no browser
        ("https://charts.example", True),
        ("HTTPS://Charts.Example", True),
        ("http://our.host:8000", True),  # a page of ours
        ("http://our.host", False),
        ("https://charts.example.evil", False),
        ("https://elsewhere.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_with_origins_only_their_pages_and_ours_may(origin: str | None, *, allowed: bool) -> None:
    policy = AccessPolicy(Access(origins=("https://charts.example",)))
    request = RequestInfo(b"GET", b"/ws/candles", origin=origin, host="Our.host:8000")
    assert policy.allows_origin(request) is allowed


def test_no_host_makes_no_origin_ours() -> None:
    request = RequestInfo(b"GET", b"/ws/candles", origin="null")
    assert not AccessPolicy(Access(origins=("https://a.example",))).allows_origin(request)


# Who the client is


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a client's own header is not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # it may have made up the rest
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "198.51.100.1" + ", 10.2.2.2" * 100, "10.2.2.2"),
    ],
)
def test_only_trusted_proxies_say_who_the_client_is(peer: str, forwarded: str, client: str) -> None:
    assert AccessPolicy(Access(trusted_proxies=PROXIES)).client_of(peer, forwarded) == client


@given(st.text())
def test_any_list_of_a_proxy_names_an_address(forwarded: str) -> None:
    policy = AccessPolicy(Access(trusted_proxies=PROXIES))
    assert policy.bucket_of(policy.client_of("10.0.0.1", forwarded)) is not None


def test_several_lines_of_a_header_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"host", b"h"), (b"x-forwarded-for", b"2.2.2.2")]
    assert request_info(b"GET", b"/", headers).forwarded == "1.1.1.1,2.2.2.2"


# How often


def test_an_address_may_ask_so_much_at_once_and_so_often_then() -> None:
    rates = Rates(rate=2, burst=3)
    assert [rates.bucket("a").take(0) for _ in range(4)] == [True, True, True, False]
    assert rates.bucket("b").take(0)
    assert [rates.bucket("a").take(1) for _ in range(3)] == [True, True, False]


def test_addresses_that_asked_longest_ago_are_forgotten() -> None:
    rates = Rates(rate=0.001, burst=1, most=3)
    for address in ("a", "b", "c", "a", "d"):
        rates.bucket(address).take(0)
    assert len(rates) == 3
    assert not rates.bucket("a").take(0)
    assert rates.bucket("b").take(0)


def test_this_machine_has_no_such_limit_unless_configured() -> None:
    policy = AccessPolicy(Access())
    assert policy.bucket_of("127.0.0.1") is None
    policy = AccessPolicy(Access(requests_per_second=1, burst=1, exempts_loopback=False))
    for first, second in (("127.0.0.1", "127.0.0.1"), ("2001:db8:1:2::3", "2001:db8:1:2::4")):
        bucket = policy.bucket_of(first)
        assert bucket is not None
        assert bucket.take(0)
        assert policy.bucket_of(second) is bucket  # the same customer's network
        assert not bucket.take(0)
