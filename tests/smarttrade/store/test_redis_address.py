from __future__ import annotations

import pytest

from smarttrade.store.redis_address import (
    BadAddress,
    ClusterAddress,
    Host,
    SentinelAddress,
    ServerAddress,
    redis_address,
)


@pytest.mark.parametrize("url", ["redis://u:p@h:1/3", "rediss://h", "unix:///run/redis.sock?db=4"])
def test_plain_url_is_taken_as_it_is(url: str) -> None:
    assert redis_address(url) == ServerAddress(url)


@pytest.mark.parametrize(
    ("url", "nodes", "plain"),
    [
        ("redis+cluster://h", [("h", 6379)], "redis://h"),
        ("redis+cluster://h:1,h:2/", [("h", 1), ("h", 2)], "redis://h:1"),
        ("redis+cluster://h:1,h:1/0", [("h", 1)], "redis://h:1"),
        (
            "rediss+cluster://u:p%2C@a:1,[::1]:2?ssl_cert_reqs=none",
            [("a", 1), ("::1", 2)],
            "rediss://u:p%2C@a:1?ssl_cert_reqs=none",
        ),
    ],
)
def test_cluster(url: str, nodes: list[tuple[str, int]], plain: str) -> None:
    assert redis_address(url) == ClusterAddress(tuple(Host(*each) for each in nodes), plain)


def test_sentinels() -> None:
    assert redis_address("redis+sentinel://a,b:5/candles") == SentinelAddress(
        (Host("a", 26379), Host("b", 5)), "candles", "redis://a/0"
    )


def test_sentinels_have_credentials_of_their_own() -> None:
    url = (
        "rediss+sentinel://u:p@a:1/m/2"
        "?client_name=x&sentinel_username=s&sentinel_password=w%2F&password=q%26"
    )
    assert redis_address(url) == SentinelAddress(
        (Host("a", 1),), "m", "rediss://u:p@a:1/2?client_name=x&password=q%26", "s", "w/"
    )


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("redis+cluster://", "'' is not a host"),
        ("redis+cluster://a,,b", "'' is not a host"),
        ("redis+cluster://a:0", "'a:0' is not a host"),
        ("redis+cluster://a:65536", "'a:65536' is not a host"),
        ("redis+cluster://a:٣", "is not a host"),
        ("redis+cluster://a/1", "database '1': a Redis Cluster has only database 0"),
        ("redis+cluster://a/mymaster", "database 'mymaster'"),
        ("redis+cluster://a?sentinel_password=x", "'sentinel_password' needs redis+sentinel"),
        ("redis+cluster://a b", "'a b' is not a host"),
        ("redis+cluster://a#x", "not a URL"),
        ("redis+cluster:a", "not a URL"),
        ("redis+cluster://" + ",".join(f"h{n}" for n in range(17)), "17 hosts; name up to 16"),
        ("redis+sentinel://a", "'' is no name of a primary"),
        ("redis+sentinel://a/", "'' is no name of a primary"),
        ("redis+sentinel://a/my master", "'my master' is no name"),
        ("redis+sentinel://a/m/x", "database 'x' is not a number"),
        ("redis+sentinel://a/m/0/1", "database '0/1' is not a number"),
        ("redis+proxy://a", "not a URL"),
    ],
)
def test_what_cannot_be_is_refused_by_name(url: str, wrong: str) -> None:
    with pytest.raises(BadAddress) as raised:
        redis_address(url)
    assert wrong in str(raised.value)
