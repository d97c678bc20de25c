"""`smarttrade check`: whether the service could run here, one line for each thing looked at."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import trio

from ..environment import exchange_urls, with_simulated_store
from ..feed.network import BadNetwork, Network
from ..role import Role
from ..settings import VARIABLES, Settings
from ..settings.sources import Loaded
from ..settings.values import shown
from ..store.shards import shard_of
from ..telemetry.logs import configure_logs
from .check_exchange import check_rest, check_streams
from .check_redis import check_redis
from .check_result import CheckResult, Level
from .messages import print_message
from .options import add_options, add_simulated, settings_from
from .signals import run_until_signal, until_stopped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_simulated(parser)
    add_options(parser)
    parser.usage = "%(prog)s [--simulated] [--OPTION VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    loaded = settings_from(arguments)
    configure_logs("error", "json" if loaded.settings.log_format == "json" else "text")
    try:
        network = Network.from_environment({} if arguments.simulated else os.environ)
    except BadNetwork as error:
        for problem in error.problems:
            print_message(problem)
        return 2
    work = partial(report, loaded, network, simulated=arguments.simulated)
    return run_until_signal(partial(until_stopped, work))


async def report(loaded: Loaded, network: Network, *, simulated: bool = False) -> int:
    """Print every result, what is wrong first; 1 when something is."""
    check = _check_simulated if simulated else run_checks
    results = [*_configuration(loaded), *await check(loaded.settings, network)]
    for result in sorted(results, key=lambda result: result.level.order):
        print(result, flush=True)
    return int(any(result.level is Level.FAIL for result in results))


def _configuration(loaded: Loaded) -> Iterable[CheckResult]:
    for variable in VARIABLES.values():
        if variable.name in loaded.origins:
            value = shown(getattr(loaded.settings, variable.field))
            text = f"{variable.name} = {value} ({loaded.origins[variable.name]})"
            yield CheckResult(Level.OK, "setting", text)
    yield CheckResult(Level.OK, "setting", f"{_count(loaded)} have their defaults: see --help-all")
    yield from _symbols_of_shards(loaded.settings)
    for name, meant in loaded.unknown.items():
        hint = f"; did you mean {meant}?" if meant else ""
        yield CheckResult(Level.WARN, "setting", f"{name} is unknown and ignored{hint}")
    for old, current in loaded.deprecated.items():
        yield CheckResult(Level.WARN, "setting", f"{old} is deprecated: use {current}")


def _symbols_of_shards(settings: Settings) -> Iterable[CheckResult]:
    if settings.shards == 1:
        return
    counts = Counter(shard_of(symbol, settings.shards) for symbol in settings.symbols)
    numbers = [counts[number] for number in range(settings.shards)]
    text = f"symbols of each: {', '.join(map(str, numbers))}"
    if 0 in numbers:
        text += "; one without needs no ingest"
    yield CheckResult(Level.OK, "shards", text)


def _count(loaded: Loaded) -> int:
    return len(VARIABLES) - len(loaded.origins)


async def _check_simulated(settings: Settings, network: Network) -> Sequence[CheckResult]:
    """What `serve --simulated` would find."""
    text = "the built-in simulator, whose prices are invented"
    async with exchange_urls(settings, simulated=True) as (rest_urls, stream_urls):
        urls = {"binance_rest_url": tuple(rest_urls), "binance_ws_url": tuple(stream_urls)}
        stored = with_simulated_store(settings, Role.SERVE)
        found = await run_checks(stored.model_copy(update=urls), network)
    return [CheckResult(Level.OK, "exchange", text), *found]


async def run_checks(settings: Settings, network: Network) -> Sequence[CheckResult]:
    """Look at everything outside, all at once."""
    results: dict[str, Sequence[CheckResult]] = {}

    async def look(name: str, at: Callable[[], Awaitable[Sequence[CheckResult]]]) -> None:
        results[name] = await at()

    async with network.http_client() as http, trio.open_nursery() as nursery:
        nursery.start_soon(look, "rest", partial(check_rest, settings, http))
        nursery.start_soon(look, "stream", partial(check_streams, settings, network.dial))
        nursery.start_soon(look, "redis", partial(check_redis, settings))
    return [*results["rest"], *results["stream"], *results["redis"]]
