"""`smarttrade ingest`: the feed into Redis, for any number of gateways to follow."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial

from ..role import Role
from ..settings.sources import Loaded
from .messages import print_message
from .options import add_options, add_simulated
from .serve import load, serve
from .signals import run_until_signal

PORT = 8001
"""For operators only; by default another one than that of a gateway on the same machine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_simulated(parser)
    add_options(parser)
    parser.usage = "%(prog)s [--simulated] [--OPTION VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    loaded = load_with_redis(arguments)
    settings = loaded.settings
    if not settings.own_symbols:
        print_message(
            f"no symbol of SMARTTRADE_SYMBOLS belongs to shard {settings.shard}"
            f" of {settings.shards}: it needs no ingest"
        )
        return 2
    if "PORT" not in loaded.origins:
        loaded = replace(loaded, settings=loaded.settings.model_copy(update={"port": PORT}))
    main = partial(serve, loaded, arguments.simulated, role=Role.INGEST)
    return run_until_signal(main, drain_delay=loaded.settings.drain_delay)


def load_with_redis(arguments: argparse.Namespace) -> Loaded:
    """The settings of a role that needs Redis; ends the process when they are wrong."""
    loaded = load(arguments)
    if loaded.settings.use_memory_store:
        origin = loaded.origins["USE_MEMORY_STORE"]
        print_message(
            f"USE_MEMORY_STORE='1' ({origin}): must not be set here, as ingest and gateway"
            " exchange candles through Redis"
        )
        sys.exit(2)
    return loaded
