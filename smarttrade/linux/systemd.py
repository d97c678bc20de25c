"""Notify systemd of the state of the service, if it was started by it (`Type=notify`).

Source: sd_notify(3) and sd_watchdog_enabled(3). One datagram per notification; without
systemd there are none.

systemd restarts a service whose watchdog notifications stop. A task of the loop sends them, only
after the store has answered: a process that merely exists is not alive.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import trio

from actors import ActorDied, Child, Mailbox, MailboxClosed

from ..store.feed import Feed
from ..store.messages import GetOverview, Overview, StoreMessage
from .status_line import status_line

log = structlog.get_logger("smarttrade.systemd")

NOTIFICATIONS_PER_TIMEOUT = 4  # so that one or two late ones do no harm
STARTING_INTERVAL = 1.0  # seconds between two of them until all is ready: a start is looked at
STOP_RESERVE = 15.0  # seconds; a stop takes 10 at most, see cli/signals.py
STATUS_INTERVAL = 5.0  # seconds between two notifications of a service without a watchdog


@dataclass(frozen=True, slots=True)
class Notifier:
    """The notification socket of the service manager."""

    address: str
    """Of the datagram socket; one that begins with a zero byte is in no file system."""
    watchdog_timeout: float | None = None
    """Seconds without a notification after which the service is restarted; None: no limit."""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], pid: int | None = None
    ) -> Notifier | None:
        """From systemd's variables; None without them, or if the address is of an unknown kind."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        if address.startswith("@"):
            address = "\0" + address[1:]
        return cls(address, _watchdog_timeout(environment, os.getpid() if pid is None else pid))

    @property
    def interval(self) -> float:
        """Seconds between two notifications."""
        if self.watchdog_timeout is None:
            return STATUS_INTERVAL
        return self.watchdog_timeout / NOTIFICATIONS_PER_TIMEOUT

    def notify(self, *lines: str) -> None:
        """Send one notification; never waits and never raises."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self.address)

    def notify_stopping(self, drain_delay: float) -> None:
        """The stop takes longer than `TimeoutStopSec` may allow, by `drain_delay` in seconds."""
        microseconds = int(1e6 * (drain_delay + STOP_RESERVE))
        self.notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}")


def watchdog_children(
    notifier: Notifier | None,
    store: Mailbox[StoreMessage],
    describe_store: Callable[[], Mapping[str, Any]],
) -> list[Child]:
    """The actor `watchdog` if systemd started this process; to be started last."""
    if notifier is None:
        return []
    return [Child("watchdog", partial(run_watchdog, notifier, store, describe_store))]


async def run_watchdog(
    notifier: Notifier,
    store: Mailbox[StoreMessage],
    describe_store: Callable[[], Mapping[str, Any]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Notify systemd for as long as the store answers; never returns.

    `describe_store` is for the line that `systemctl status` shows.
    """
    task_status.started()
    alive = [] if notifier.watchdog_timeout is None else ["WATCHDOG=1"]
    interval, answered, is_starting = notifier.interval, True, True
    while True:
        overview = await _overview(store, interval)
        if overview is not None:
            notifier.notify(*alive, f"STATUS={status_line(overview, describe_store())}")
        elif answered:
            notifier.notify("STATUS=the store does not answer")
            log.error("store_silent", silence_limit=interval)
        answered = overview is not None
        is_starting = is_starting and not _is_settled(overview)
        await trio.sleep(min(STARTING_INTERVAL, interval) if is_starting else interval)


def _is_settled(overview: Overview | None) -> bool:
    return overview is not None and overview.feed.feed is Feed.LIVE and not overview.not_ready


async def _overview(store: Mailbox[StoreMessage], timeout: float) -> Overview | None:
    try:
        with trio.fail_after(timeout):
            return await store.ask(GetOverview)
    except (trio.TooSlowError, ActorDied, MailboxClosed):
        return None


def _watchdog_timeout(environment: Mapping[str, str], pid: int) -> float | None:
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # meant for the process that started us
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None
