"""The command line: which commands there are. What each does is in a module of its own.

Exit statuses: 0 done, or stopped as asked; 1 failed; 2 the configuration or the arguments are
wrong; 70 it did not stop in time; 130 and 143 ended at once by a second Ctrl-C or SIGTERM.

Libraries take longer to import than some commands to run, so each command imports its own.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from .error_text import matching_error_text
from .gc_tuning import gc_paused
from .messages import print_message

COMMANDS = {
    "serve": "everything in one process: feed, store, REST, WebSocket, pages",
    "ingest": "the feed alone, into Redis, for gateways to follow",
    "gateway": "REST, WebSocket and pages alone, from what an ingest keeps in Redis",
    "simulator": "the built-in exchange simulator by itself",
    "status": "show the state of a running backend",
    "tail": "print live candles from a running backend",
    "check": "report configuration, exchange reachability, Redis and clock",
    "completion": "print a script that completes commands in your shell",
}
"""Each is a module here with `add_arguments(parser)` and `run(arguments) -> exit status`."""


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


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
        sys.stdout.flush()
    except (OSError, BaseExceptionGroup) as error:
        return _without_output(error)
    return status


def _without_output(error: BaseException) -> int:
    """The status when standard output is closed or full; other errors are raised."""
    closed = matching_error_text(error, (BrokenPipeError,)) is not None
    full = matching_error_text(error, (OSError,), errnos=UNWRITABLE)
    if not closed and full is None:
        raise error
    # Python would complain at the end about output that it cannot get rid of.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if closed:
        return 0  # the reader has enough
    print_message(f"standard output: {full}")
    return 1


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
