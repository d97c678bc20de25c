"""Tell systemd how the service does, where it was started by it (`Type=notify`).

Source: sd_notify(3) and sd_watchdog_enabled(3). One datagram for each thing told; elsewhere,
nothing is told.

systemd restarts a service that stops telling that it lives. It is told so by a task of the loop,
and only after the store has answered: a process that merely exists is not alive.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
import trio

from actors import ActorDied, Mailbox, MailboxClosed

from ..store.messages import GetCatalogue, StoreMessage

log = structlog.get_logger("smarttrade.systemd")

PARTS = 4  # of the time that systemd waits: in each of them it is told once


@dataclass(frozen=True, slots=True)
class Notifier:
    """Whom to tell."""

    address: str
    """Of the datagram socket; one that begins with a zero byte is in no file system."""
    watchdog_within: float | None = None
    """Seconds of silence after which the service counts as dead; None: for ever."""

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int | None = None) -> Notifier | None:
        """As systemd said in the environment; None if it did not, or in a way unknown here."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        if address.startswith("@"):
            address = "\0" + address[1:]
        return cls(address, _watchdog_within(environment, os.getpid() if pid is None else pid))

    def tell(self, *lines: str) -> None:
        """Say it if anybody listens; never waits and never raises."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self.address)


async def run_watchdog(
    notifier: Notifier,
    within: float,
    store: Mailbox[StoreMessage],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Tell that the service lives for as long as the store answers; never returns.

    `within` is how long the other side waits, in seconds.
    """
    task_status.started()
    answers = True
    while True:
        answered, answers = answers, await _answers(store, within / PARTS)
        if answers:
            notifier.tell("WATCHDOG=1")
        elif answered:
            log.error("store_silent", within=within / PARTS)
        await trio.sleep(within / PARTS)


async def _answers(store: Mailbox[StoreMessage], within: float) -> bool:
    try:
        with trio.fail_after(within):
            await store.ask(GetCatalogue)
    except (trio.TooSlowError, ActorDied, MailboxClosed):
        return False
    return True


def _watchdog_within(environment: Mapping[str, str], pid: int) -> float | None:
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # meant for the process that started us
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None
