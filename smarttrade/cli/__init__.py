"""What is typed: `smarttrade COMMAND`. Each command has a module here that is named like it."""

from .commands import COMMANDS, run

__all__ = ["COMMANDS", "run"]
