"""Redis URLs. redis-py ignores a database that it cannot parse, and fails late on bad options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from ..store.redis_address import SENTINEL_OPTIONS, BadAddress, redis_address
from .values import Explained, url

ALLOWED = (
    "a redis://, rediss:// or unix:// URL such as redis://user:password@host:6379/0, whose path is"
    " the database's number; redis+cluster://host:port,host:port; or"
    " redis+sentinel://host:port,host:port/name-of-the-primary/0; rediss+cluster, rediss+sentinel"
    " for TLS; with options among db, username, password, client_name,"
    " sentinel_username and sentinel_password with redis+sentinel, and with TLS ssl_cert_reqs,"
    " ssl_check_hostname, ssl_ca_certs, ssl_certfile, ssl_keyfile"
)

_read = url("redis", "rediss", "unix", with_query=True)


def read_redis_url(text: str) -> str:
    """The URL, if everything in it has an effect. Raises: ValueError."""
    text = text.strip()
    if not re.match(r"rediss?\+", text):
        return _read_plain(text)
    if "@" in text.partition("://")[2].partition("/")[2] + text.partition("?")[2]:
        raise Explained("a password with any of / ? # needs these percent-encoded")
    try:
        redis_address(text)
    except BadAddress as error:
        raise Explained(str(error)) from error
    _check_options(
        text.partition("?")[2], _SEVERAL_SERVERS_OPTIONS, is_tls=text.startswith("rediss")
    )
    return text


def _read_plain(text: str) -> str:
    if re.match(r"rediss?://([^@/?#]*@)?[^@/?#]*,", text):
        raise Explained("several hosts need redis+cluster:// or redis+sentinel://")
    text = _read(text)
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise Explained("no path of a socket")
    elif (database := parts.path.strip("/")) and not _is_database(unquote(database)):
        raise Explained(f"database {database!r} is not a number")
    _check_options(parts.query, _OPTIONS, is_tls=parts.scheme == "rediss")
    return text


def _check_options(
    query: str, options: Mapping[str, Callable[[str], bool]], *, is_tls: bool
) -> None:
    for name, value in parse_qsl(query, keep_blank_values=True):
        is_good = options.get(name)
        if is_good is None:
            instead = _INSTEAD.get(name)
            raise Explained(f"option {name!r} " + (f"is {instead}" if instead else "is unknown"))
        if name.startswith("ssl_") and not is_tls:
            raise Explained(f"option {name!r} needs rediss://")
        if not is_good(value):
            shown = "" if name.endswith("password") else f" {value!r}"
            raise Explained(f"option {name!r} has a bad value{shown}")


def _is_database(text: str) -> bool:
    return re.fullmatch(r"\d{1,9}", text, re.ASCII) is not None


def _is_file(text: str) -> bool:
    return Path(text).is_file()


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda text: text.lower() in values


_OPTIONS: Mapping[str, Callable[[str], bool]] = {
    "db": _is_database,
    "username": bool,
    "password": bool,
    "client_name": lambda text: text.isprintable() and bool(text) and " " not in text,
    "ssl_cert_reqs": _one_of("none", "optional", "required"),
    "ssl_check_hostname": _one_of("true", "false", "yes", "no", "1", "0"),
    "ssl_ca_certs": _is_file,
    "ssl_certfile": _is_file,
    "ssl_keyfile": _is_file,
}

_SEVERAL_SERVERS_OPTIONS = {
    **{name: is_good for name, is_good in _OPTIONS.items() if name != "db"},
    **dict.fromkeys(SENTINEL_OPTIONS, bool),
}
"""The database is in the path, or there is only one."""

_INSTEAD = {
    **dict.fromkeys(
        ("socket_timeout", "socket_connect_timeout", "timeout"), "SMARTTRADE_REDIS_TIMEOUT"
    ),
    "db": "the number at the end of the path, with redis+sentinel",
}
"""What there is for options of redis-py that are not taken."""
