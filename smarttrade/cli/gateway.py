"""`smarttrade gateway`: clients, who get what an ingest keeps in Redis."""

from __future__ import annotations

import argparse
from functools import partial

from ..role import Role
from .ingest import load_with_redis
from .options import add_options
from .serve import refuse_shard, serve
from .signals import run_until_signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.usage = "%(prog)s [--reuse-port] [--OPTION VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    loaded = load_with_redis(arguments)
    refuse_shard(loaded)
    main = partial(serve, loaded, False, role=Role.GATEWAY)
    return run_until_signal(main, drain_delay=loaded.settings.drain_delay)
