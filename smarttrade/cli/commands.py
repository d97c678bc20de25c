"""The command line: which commands there are. What each does is in a module of its own.

Exit statuses: 0 done, or stopped as asked; 1 failed; 2 the configuration or the arguments are
wrong; 70 it did not stop in time; 130 and 143 ended at once by a second Ctrl-C or SIGTERM.

Libraries take longer to import than some commands to run, so each command imports its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from .error_text import matching_error_text
from .gc_tuning import gc_paused

COMMANDS = {
    "serve": "everything in one process: feed, store, REST, WebSocket, pages",
    "ingest": "the feed alone, into Redis, for gateways to follow",
    "gateway": "REST, WebSocket and pages alone, from what an ingest keeps in Redis",
    "simulator": "the built-in exchange simulator by itself",
    "status": "show how a running backend does",
    "tail": "print live candles from a running backend",
    "check": "report configuration, exchange reachability, Redis and clock",
}
"""Each is a module here with `add_arguments(parser)` and `run(arguments) -> exit status`."""


def run(argv: Sequence[str]) -> int:
    """Run the command that `argv` names; return the exit status.

    Raises:
        SystemExit: the arguments or the configuration are wrong, or help was asked for.
    """
    command, rest = _split(argv)
    with gc_paused():
        module = import_module(f".{command}", __package__)
    parser = argparse.ArgumentParser(
        f"smarttrade {command}", description=f"Does: {COMMANDS[command]}.", allow_abbrev=False
    )
    module.add_arguments(parser)
    try:
        status: int = module.run(parser.parse_args(rest))
    except (BrokenPipeError, BaseExceptionGroup) as error:
        if matching_error_text(error, (BrokenPipeError,)) is None:
            raise
        status = 0  # the reader of our output has closed it
    _flush()
    return status


def _flush() -> None:
    """Python would complain at the end about output that it cannot get rid of."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _split(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {does}" for name, does in COMMANDS.items())
    parser = argparse.ArgumentParser(
        "smarttrade",
        usage="%(prog)s [--version] [--help] command ...",
        description="The backend behind crypto charts: live candles from Binance.",
        epilog=f"commands:\n{commands}\n\nsmarttrade COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"smarttrade {__version__}")
    parser.add_argument("command", choices=COMMANDS, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.error(f"a command is missing: {', '.join(COMMANDS)}")
    return arguments.command, arguments.rest
