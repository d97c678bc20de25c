"""Redis URLs. redis-py ignores a database that it cannot parse, and fails late on bad options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .values import Explained, url

ALLOWED = (
    "a redis://, rediss:// or unix:// URL such as redis://user:password@host:6379/0, whose path is"
    " the database's number, with options among db, username, password, client_name and, with"
    " rediss, ssl_cert_reqs, ssl_check_hostname, ssl_ca_certs, ssl_certfile, ssl_keyfile"
)

_read = url("redis", "rediss", "unix", with_query=True)


def read_redis_url(text: str) -> str:
    """The URL, if everything in it has an effect. Raises: ValueError."""
    text = _read(text)
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise Explained("no path of a socket")
    elif (database := parts.path.strip("/")) and not _is_database(unquote(database)):
        raise Explained(f"database {database!r} is not a number")
    _check_options(parts)
    return text


def _check_options(parts: SplitResult) -> None:
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        is_good = _OPTIONS.get(name)
        if is_good is None:
            instead = _INSTEAD.get(name)
            raise Explained(f"option {name!r} " + (f"is {instead}" if instead else "is unknown"))
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise Explained(f"option {name!r} needs rediss://")
        if not is_good(value):
            shown = "" if name == "password" else f" {value!r}"
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

_INSTEAD = dict.fromkeys(
    ("socket_timeout", "socket_connect_timeout", "timeout"), "SMARTTRADE_REDIS_TIMEOUT"
)
"""Options of redis-py that are settings of their own."""
