"""The variables as options of a command, and settings from them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import NoReturn

from ..settings import VARIABLES, Variable
from ..settings.deprecated import DEPRECATED
from ..settings.files import access_of, check_files
from ..settings.model import Settings
from ..settings.sources import BadSettings, Loaded, load_settings
from ..settings.variables import option_of
from ..telemetry.logs import configure_logs
from .messages import print_message

WIDTH = 80  # columns of a terminal that no one has made wider

USUAL = (
    *("REDIS_URL", "USE_MEMORY_STORE", "HOST", "PORT"),
    *("SMARTTRADE_SYMBOLS", "SMARTTRADE_INTERVALS", "LOG_LEVEL"),
)
"""What a newcomer wants to set."""


def add_simulated(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="use the built-in exchange simulator; no network is needed",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option per variable; the help describes the usual ones, `--help-all` each."""
    for variable in VARIABLES.values():
        if variable.is_switch:
            parser.add_argument(
                variable.option,
                dest=variable.name,
                action="store_const",
                const="1",
                help=argparse.SUPPRESS,
            )
        else:
            parser.add_argument(variable.option, dest=variable.name, help=argparse.SUPPRESS)
    for old in DEPRECATED:
        parser.add_argument(option_of(old), dest=old, help=argparse.SUPPRESS)
    parser.add_argument("--help-all", action=_HelpAll, nargs=0, help="show every setting and exit")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # argparse would break URLs
    parser.epilog = reference(USUAL)


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.epilog = reference(VARIABLES)
        parser.print_help()
        parser.exit()


def settings_from(arguments: argparse.Namespace) -> Loaded:
    """Settings from all sources, or the end of the process with status 2 and what is wrong."""
    given = {name: vars(arguments).get(name) for name in (*VARIABLES, *DEPRECATED)}
    try:
        loaded = load_settings({name: value for name, value in given.items() if value is not None})
        check_files(loaded.settings)
    except BadSettings as error:
        if _wants_json(given):
            configure_logs(log_format="json")
        for problem in error.problems:
            print_message(problem)
        sys.exit(2)
    return loaded


def _wants_json(given: Mapping[str, str | None]) -> bool:
    """Whether even this message is to be JSON, although the settings cannot be used."""
    text = given["LOG_FORMAT"] or os.environ.get("LOG_FORMAT", "")
    return text.strip().lower() == "json"


def authorization(settings: Settings) -> dict[str, str]:
    """The header for a backend that wants a token: the first one that is configured."""
    tokens = access_of(settings).tokens
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """What to type into a browser on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  # not bound here
        host = "localhost"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def reference(names: Iterable[str]) -> str:
    """These variables, in 80 columns."""
    more = () if len([*names]) == len(VARIABLES) else ("", "--help-all shows every setting.")
    return "\n".join((_HEAD, *(_described(VARIABLES[name]) for name in names), *more))


def _described(variable: Variable) -> str:
    value = "" if variable.is_switch else " VALUE"
    default = variable.default.replace(",", ", ")  # lines are broken at spaces
    texts = (variable.meaning, variable.allowed, f"default: {default}")
    head = _wrapped(f"{variable.option}{value}, variable {variable.name}", indent=2)
    return "\n".join((head, *(_wrapped(text, indent=6) for text in texts)))


def _wrapped(text: str, *, indent: int) -> str:
    return fill(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
        break_long_words=False,
    )


_HEAD = """\
settings, by options, or by variables in the environment or in a file .env in
the working directory; the file wins over the environment, and an option over
both:"""
