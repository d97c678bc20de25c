"""Where a Redis is, as a URL says it: one server, a Cluster, or behind Sentinels. Plain code.

    redis://user:password@host:6379/0             one server, also rediss:// (TLS) and unix://
    redis+cluster://host:7000,host:7001           some nodes of a Redis Cluster; it names the others
    redis+sentinel://host1:26379,host2/name/0     Sentinels, the name they have for the primary, and
                                                  the database's number

User, password and options are those of the servers in every form; those of the Sentinels are the
options `sentinel_username` and `sentinel_password`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")

MAX_HOSTS = 16  # in a URL; each that is down may cost a whole time limit

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>cluster|sentinel)://(?P<user>[^@/?#]*@)?"
    r"(?P<hosts>[^@/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<options>[^#]*))?"
)
_HOST = re.compile(r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?", re.ASCII)
_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)  # as Sentinel's own configuration has it
_DATABASE = re.compile(r"\d{1,9}", re.ASCII)

_DEFAULT_PORTS = {"cluster": 6379, "sentinel": 26379}


class BadAddress(ValueError):
    """The message says what is wrong, and holds no secret."""


class Host(NamedTuple):
    name: str
    port: int


@dataclass(frozen=True, slots=True)
class ServerAddress:
    url: str
    """As redis-py takes it."""


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    nodes: tuple[Host, ...]
    url: str
    """Of any node, for what is the same for all: TLS, user, password and options."""


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    sentinels: tuple[Host, ...]
    primary: str
    """The name that the Sentinels have for it."""
    url: str
    """Of a server, for what is the same for all; with the database's number."""
    username: str | None = None
    password: str | None = None
    """For the Sentinels themselves."""


RedisAddress = ServerAddress | ClusterAddress | SentinelAddress


def redis_address(url: str) -> RedisAddress:
    """What `url` says; a plain one is taken as it is.

    Raises:
        BadAddress: not what `redis+cluster` or `redis+sentinel` can be.
    """
    if not re.match(r"rediss?\+", url):
        return ServerAddress(url)
    parts = _SEVERAL.fullmatch(url)
    if parts is None:
        raise BadAddress("not a URL of redis+cluster or redis+sentinel")
    hosts = _hosts(parts["hosts"], _DEFAULT_PORTS[parts["kind"]])
    path = (parts["path"] or "").strip("/").split("/")
    options = parse_qsl(parts["options"] or "", keep_blank_values=True)
    own = dict(each for each in options if each[0] in SENTINEL_OPTIONS)
    plain = f"{parts['scheme']}://{parts['user'] or ''}{parts['hosts'].split(',')[0]}"
    rest = [each for each in options if each[0] not in own]
    query = f"?{urlencode(rest)}" if rest else ""
    if parts["kind"] == "cluster":
        if own:
            raise BadAddress(f"option {next(iter(own))!r} needs redis+sentinel://")
        if path not in ([""], ["0"]):
            raise BadAddress(f"database {'/'.join(path)!r}: a Redis Cluster has only database 0")
        return ClusterAddress(hosts, plain + query)
    primary, database = _name_and_database(path)
    return SentinelAddress(
        hosts,
        primary,
        f"{plain}/{database}{query}",
        own.get("sentinel_username"),
        own.get("sentinel_password"),
    )


def _hosts(text: str, port: int) -> tuple[Host, ...]:
    hosts: dict[Host, None] = {}
    for each in text.split(","):
        match = _HOST.fullmatch(each)
        if match is None or not 0 < int(match["port"] or port) < 65536:
            raise BadAddress(f"{each!r} is not a host, or a host and a port")
        hosts[Host(match["name"].strip("[]"), int(match["port"] or port))] = None
    if len(hosts) > MAX_HOSTS:
        raise BadAddress(f"{len(hosts)} hosts; name up to {MAX_HOSTS}, they name the others")
    return tuple(hosts)


def _name_and_database(path: list[str]) -> tuple[str, str]:
    name, database = path[0], path[1] if len(path) > 1 else "0"
    if _NAME.fullmatch(name) is None:
        raise BadAddress(f"{name!r} is no name of a primary: it follows the hosts, as in /name/0")
    if len(path) > 2 or _DATABASE.fullmatch(database) is None:
        raise BadAddress(f"database {'/'.join(path[1:])!r} is not a number")
    return name, database
