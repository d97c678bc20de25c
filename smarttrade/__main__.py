"""The program `smarttrade`, which is `python -m smarttrade` too."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name, and end the process with its status."""
    try:
        from .cli import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the commands, which deal with it themselves
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
