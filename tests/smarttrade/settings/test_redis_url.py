"""A Redis URL means one database, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.connection import parse_url

from smarttrade.settings.redis_url import read_redis_url
from smarttrade.settings.sources import BadSettings, load_settings


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("redis://h", None),
        ("redis://h/", None),
        ("redis://h/0", 0),
        ("redis://h:6380/15", 15),
        ("redis://h?db=3", 3),
        ("rediss://user:pass@h/2?ssl_cert_reqs=none&ssl_check_hostname=false", 2),
        ("redis://h/1?client_name=chart&password=x&username=y", 1),
        ("unix:///run/redis.sock?db=4", 4),
    ],
)
def test_good_url_means_to_the_library_what_it_says(text: str, database: int | None) -> None:
    parsed = parse_url(read_redis_url(text))  # type: ignore[no-untyped-call]
    assert parsed.get("db") == database


@pytest.mark.parametrize(
    "text",
    [
        "redis+cluster://h:7000,h:7001",
        "rediss+cluster://user:pass@h/0?ssl_cert_reqs=none&client_name=chart",
        "redis+sentinel://a:26379,b:26379,c:26379/mymaster/3?sentinel_password=x",
        " redis+sentinel://a/mymaster ",
    ],
)
def test_several_servers_are_taken(text: str) -> None:
    assert read_redis_url(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("redis://h/prod", "database 'prod' is not a number"),
        ("redis://h/staging", "database 'staging' is not a number"),
        ("redis://h/0/x", "database '0/x' is not a number"),
        ("redis://h/-1", "database '-1' is not a number"),
        ("redis://h/٣", "is not a number"),
        ("redis://h/9999999999", "is not a number"),
        ("redis://h?db=prod", "option 'db' has a bad value 'prod'"),
        ("redis://h?dbb=1", "option 'dbb' is unknown"),
        ("redis://h?socket_timeout=5", "option 'socket_timeout' is SMARTTRADE_REDIS_TIMEOUT"),
        ("redis://h?ssl_cert_reqs=none", "option 'ssl_cert_reqs' needs rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "option 'ssl_cert_reqs' has a bad value 'maybe'"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", "option 'ssl_ca_certs' has a bad value"),
        ("redis://h?password=", "option 'password' has a bad value"),
        ("redis://u:sesame@h/prod", "database 'prod' is not a number"),
        ("redis://u:ses/ame@h/0", "needs these percent-encoded"),
        ("redis://u:ses?ame@h/0", "needs these percent-encoded"),
        ("unix://?db=1", "no path of a socket"),
        ("redis://a:1,b:2/0", "several hosts need redis+cluster:// or redis+sentinel://"),
        ("redis://u:sesame@a,b", "several hosts need redis+cluster:// or redis+sentinel://"),
        ("redis+cluster://a,b/3", "database '3': a Redis Cluster has only database 0"),
        ("redis+cluster://a?db=0", "option 'db' is the number at the end of the path"),
        ("redis+cluster://a?ssl_cert_reqs=none", "option 'ssl_cert_reqs' needs rediss://"),
        ("redis+cluster://a?socket_timeout=5", "'socket_timeout' is SMARTTRADE_REDIS_TIMEOUT"),
        ("redis+cluster://u:ses/ame@a", "needs these percent-encoded"),
        ("redis+sentinel://u:sesame@a:1,b:2", "'' is no name of a primary"),
        ("redis+sentinel://u:sesame@a/m/x", "database 'x' is not a number"),
        ("redis+sentinel://a/m?sentinel_password=", "option 'sentinel_password' has a bad value"),
    ],
)
def test_url_that_does_not_mean_what_it_says_is_refused_by_name(
    tmp_path: Path, text: str, wrong: str
) -> None:
    with pytest.raises(BadSettings) as raised:
        load_settings(environment={"REDIS_URL": text}, dotenv=tmp_path / ".env")
    (problem,) = raised.value.problems
    assert wrong in problem
    assert "must be a redis://" in problem
    assert "ses" not in problem.replace("these", "")
    assert "ame@" not in problem
