"""`smarttrade serve`: the whole service, until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from ..role import Role
from ..settings import Settings
from ..settings.sources import Loaded
from ..telemetry.logs import configure_logs, writes_json
from .error_text import matching_error_text
from .gc_tuning import freezing, gc_paused, resume_gc
from .messages import print_message
from .offline_hint import OfflineHint
from .options import add_options, add_simulated, settings_from, url_of
from .progress import open_progress
from .signals import end_now, run_until_signal

if TYPE_CHECKING:
    from ..linux.systemd import Notifier

log = structlog.get_logger("smarttrade")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_simulated(parser)
    add_options(parser)
    parser.usage = "%(prog)s [--simulated] [--memory] [--OPTION VALUE ...]"


def run(arguments: argparse.Namespace) -> int:
    loaded = load(arguments)
    refuse_shard(loaded)
    if not arguments.simulated:
        logging.getLogger().addHandler(OfflineHint())
    main = partial(serve, loaded, arguments.simulated)
    return run_until_signal(main, drain_delay=loaded.settings.drain_delay)


def load(arguments: argparse.Namespace) -> Loaded:
    """The settings, and logs as they say; ends the process when they are wrong."""
    loaded = settings_from(arguments)
    configure_logs(loaded.settings.log_level, loaded.settings.log_format)
    for name, meant in loaded.unknown.items():
        log.warning("unknown_variable", variable=name, did_you_mean=meant)
    for old, current in loaded.deprecated.items():
        log.warning("deprecated_variable", variable=old, use=current)
    return loaded


def refuse_shard(loaded: Loaded) -> None:
    """End a process whose clients would get a part of the symbols."""
    shard = loaded.settings.shard
    if shard is not None:
        origin = loaded.origins["SMARTTRADE_SHARD"]
        print_message(
            f"SMARTTRADE_SHARD='{shard}' ({origin}): must not be set here: serve and gateway have"
            " all shards"
        )
        sys.exit(2)


async def serve(
    loaded: Loaded,
    simulated: bool,  # noqa: FBT001
    stop: trio.Event,
    role: Role = Role.SERVE,
) -> int:
    """Run that role until `stop` is set; the exit status."""
    with gc_paused():
        from actors import Fatal, RestartLimit, Unkillable

        from ..errors import Misconfigured
        from ..feed.network import BadNetwork, Network
        from ..linux.descriptors import raise_descriptor_limit
        from ..linux.systemd import Notifier
        from ..service import run_service

    fit = raise_descriptor_limit(loaded.settings.server_limits)
    if not fit:
        print_message("too few open files are allowed: see `ulimit -n`")
        return 1
    settings = loaded.settings.model_copy(update={"max_connections": fit})
    needs_exchange = role.has_feed and not simulated
    try:
        network = Network.from_environment(os.environ if needs_exchange else {})
    except BadNetwork as error:
        for problem in error.problems:
            print_message(problem)
        return 2
    notifier = Notifier.from_environment(os.environ)
    try:
        with gc_paused(), open_progress() as shown, freezing(shown) as progress:
            await run_service(
                settings,
                stop=stop,
                progress=progress,
                role=role,
                simulated=simulated,
                network=network,
                notifier=notifier,
                task_status=_Announcement(settings, notifier),
            )
    except Exception as error:
        if (stuck := matching_error_text(error, (Unkillable,))) is not None:
            end_now(1, stuck)  # Trio would wait for it
        if (wrong := matching_error_text(error, (Misconfigured,))) is not None:
            print_message(wrong)
            return 2
        reason = matching_error_text(error, (RestartLimit, Fatal))
        if reason is None:
            log.critical("crashed", exc_info=error)
        else:
            print_message(reason)
        return 1
    log.info("stopped")
    return 0


class _Announcement:
    """The `task_status` of the service: announces its address when it has started."""

    def __init__(self, settings: Settings, notifier: Notifier | None) -> None:
        self._settings = settings
        self._notifier = notifier

    def started(self, value: object = None) -> None:  # noqa: ARG002  # the protocol has one
        """See `trio.TaskStatus`."""
        resume_gc()
        if self._notifier is not None:
            self._notifier.notify("READY=1")
        url = url_of(self._settings.host, self._settings.port, self._settings.scheme)
        if writes_json():
            log.info("started")
        elif self._settings.port:  # for port 0, the log has the port that was taken
            with suppress(OSError):
                print(f"SmartTrade serves {url}", file=sys.stderr, flush=True)
