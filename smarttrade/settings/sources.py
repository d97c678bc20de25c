"""Where settings come from, and the message for a bad value.

Sources are the environment, `.env` in the working directory, and the command line; the later wins.
In the first two, a variable that is set to nothing counts as not set. Within one source, the
current name of a variable wins over a deprecated one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError

from .deprecated import DEPRECATED
from .fields import PREFIX
from .model import Settings
from .values import Explained, masked
from .variables import VARIABLES

SECRETS = frozenset((f"{PREFIX}TOKENS",))
"""Values that no message repeats, not even bad ones."""


class BadSettings(Exception):
    """The configuration cannot be used."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        """One line each: the variable, its value, and what is allowed."""
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and how they came about."""

    settings: Settings
    origins: Mapping[str, str]
    """By variable, for those that were set: `environment`, `.env` or `command line`."""
    unknown: Mapping[str, str | None] = field(default_factory=dict)
    """Variables that begin like ours and are none, with the one that was probably meant."""
    deprecated: Mapping[str, str] = field(default_factory=dict)
    """Names of earlier versions that were used, with the names to use now."""


def load_settings(
    command_line: Mapping[str, str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    dotenv: Path = Path(".env"),
) -> Loaded:
    """Read all sources; `command_line` maps variables to their values.

    Raises:
        BadSettings: something in them is wrong; it names everything that is.
    """
    read = _Values()
    read.add("environment", environment)
    read.add(".env", _read_dotenv(dotenv))
    read.add("command line", command_line or {})
    try:
        settings = Settings.model_validate(read.given)
    except ValidationError as error:
        problems = [_problem(details, read.origins) for details in error.errors()]
        raise BadSettings(problems) from None
    return Loaded(settings, read.origins, read.unknown, read.deprecated)


class _Values:
    """What the sources set, by current names."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.unknown: dict[str, str | None] = {}
        self.deprecated: dict[str, str] = {}

    def add(self, origin: str, values: Mapping[str, str]) -> None:
        """Add a source, which wins over those before."""
        for name in sorted(values, key=VARIABLES.__contains__):  # current names last: they win
            self._set(origin, name, values[name])

    def _set(self, origin: str, name: str, value: str) -> None:
        current = DEPRECATED.get(name, name)
        if current not in VARIABLES:
            if name.upper().startswith(PREFIX):
                self.unknown[name] = next(iter(get_close_matches(name.upper(), VARIABLES, 1)), None)
        elif value or origin == "command line":
            self.given[current], self.origins[current] = value, origin
            if name != current:
                self.deprecated[name] = current


def _read_dotenv(path: Path) -> Mapping[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a BOM
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path} cannot be read: {error}"]) from error
    bad = [line.original.line for line in parse_stream(StringIO(text)) if line.error]
    if bad:
        raise BadSettings(f"{path} line {line}: must be NAME=VALUE" for line in bad)
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _problem(details: Any, origins: Mapping[str, str]) -> str:
    name = str(details["loc"][0])
    given = str(details["input"])
    if name in SECRETS:
        return f"{name}=*** ({origins.get(name, 'default')}): must be {VARIABLES[name].allowed}"
    shown = masked(given if len(given) <= 200 else given[:200] + "...")
    wrong = details.get("ctx", {}).get("error", "")
    # An entry of a list is half a URL if the password has a comma in it.
    is_safe = isinstance(wrong, Explained) or (
        str(wrong).startswith("wrong: ") and "@" not in given
    )
    why = f"{wrong}; " if is_safe else ""
    return (
        f"{name}={shown!r} ({origins.get(name, 'default')}): {why}must be {VARIABLES[name].allowed}"
    )
