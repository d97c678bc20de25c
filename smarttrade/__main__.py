"""The program `smarttrade`, which is `python -m smarttrade` too."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> None:
    """Run the command that the arguments name, and end the process with its status."""
    open_standard_streams()
    try:
        from .cli import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the commands, which deal with it themselves
        status = 130
    leave(status)


def open_standard_streams() -> None:
    """Open what was closed before we were started: a socket must not become standard output."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free
            setattr(sys, name, open(descriptor, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def leave(status: int) -> NoReturn:
    """End the process without tidying up: of hundreds of megabytes, that takes seconds."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
