"""The command line: `smarttrade COMMAND`. Each command has a module of its name here."""

from .commands import COMMANDS, run

__all__ = ["COMMANDS", "run"]
