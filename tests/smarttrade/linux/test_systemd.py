from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox
from smarttrade.linux.systemd import Notifier, run_watchdog
from smarttrade.market.series import Series
from smarttrade.store.actor import run_store
from smarttrade.store.feed import Feed, FeedReport, FeedStatus
from smarttrade.store.memory import MemoryStore
from smarttrade.store.messages import PutHistory, StoreMessage
from tests.fakes.candles import BTC, rows
from tests.fakes.ports import free_port
from tests.fakes.processes import Program


class Listener:
    """What systemd hears."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        received = []
        try:
            while True:
                received.append(self.socket.recv(1000).decode())
        except BlockingIOError:
            return received


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    yield listener
    listener.socket.close()


def notifier(listener: Listener, watchdog_timeout: float | None = None) -> Notifier:
    return Notifier(listener.socket.getsockname(), watchdog_timeout)


def live(*series: Series) -> MemoryStore:
    store = MemoryStore([each.symbol for each in series], [each.interval for each in series])
    store.report_feed(FeedReport(FeedStatus(Feed.LIVE, 0.0)))
    return store


def memory() -> dict[str, str]:
    return {"kind": "memory"}


def test_without_systemd_nothing_is_sent() -> None:
    assert Notifier.from_environment({}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": ""}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}) is None


def test_the_socket_may_be_in_no_file_system() -> None:
    listener = Listener("\0smarttrade-test-notify")
    found = Notifier.from_environment({"NOTIFY_SOCKET": "@smarttrade-test-notify"})
    assert found is not None
    found.notify("READY=1", "STATUS=fine")
    assert listener.heard() == ["READY=1\nSTATUS=fine"]
    listener.socket.close()


def test_watchdog_of_another_process_is_ignored() -> None:
    def within(**environment: str) -> float | None:
        found = Notifier.from_environment({"NOTIFY_SOCKET": "/x", **environment}, pid=7)
        assert found is not None
        return found.watchdog_timeout

    assert within() is None
    assert within(WATCHDOG_USEC="20000000") == 20
    assert within(WATCHDOG_USEC="20000000", WATCHDOG_PID="7") == 20
    assert within(WATCHDOG_USEC="20000000", WATCHDOG_PID="8") is None
    assert within(WATCHDOG_USEC="0") is None
    assert within(WATCHDOG_USEC="soon") is None


def test_stop_may_take_longer_by_the_drain_delay(listener: Listener) -> None:
    notifier(listener).notify_stopping(20.0)
    assert listener.heard() == ["STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000"]


async def test_state_is_shown_each_second_until_all_is_ready(
    autojump_clock: MockClock, nursery: trio.Nursery, listener: Listener
) -> None:
    store = Mailbox[StoreMessage]("store", capacity=1)
    nursery.start_soon(partial(run_store, store, live(BTC), hub=None, gaps=None))
    await nursery.start(run_watchdog, notifier(listener, watchdog_timeout=20), store, memory)
    await trio.sleep(2.5)
    assert listener.heard() == ["WATCHDOG=1\nSTATUS=live, 1 series, 1 not ready"] * 3
    await store.tell(PutHistory(BTC, rows(0, 9), None))
    await trio.sleep(10)
    assert listener.heard() == ["WATCHDOG=1\nSTATUS=live, 1 series"] * 2
    nursery.cancel_scope.cancel()


def test_socket_without_a_reader_is_harmless(listener: Listener) -> None:
    for _ in range(2000):
        notifier(listener).notify("WATCHDOG=1")
    listener.socket.close()
    Notifier("/nowhere/notify").notify("READY=1")


async def test_watchdog_is_notified_while_the_store_answers(
    autojump_clock: MockClock, nursery: trio.Nursery, listener: Listener
) -> None:
    store = Mailbox[StoreMessage]("store", capacity=1)
    answering = trio.CancelScope()

    async def answer() -> None:
        with answering:
            await run_store(store, live(), hub=None, gaps=None)

    nursery.start_soon(answer)
    await nursery.start(run_watchdog, notifier(listener, watchdog_timeout=20), store, memory)
    await trio.sleep(39)  # four times in 20 s; ten fit into the socket
    assert listener.heard() == ["WATCHDOG=1\nSTATUS=live, 0 series"] * 8
    answering.cancel()
    await trio.sleep(60)
    assert listener.heard() == ["STATUS=the store does not answer"]
    nursery.start_soon(partial(run_store, store, live(), hub=None, gaps=None))
    await trio.sleep(10)
    assert "WATCHDOG=1\nSTATUS=live, 0 series" in listener.heard()
    nursery.cancel_scope.cancel()


async def test_unit_without_a_watchdog_shows_the_state(
    autojump_clock: MockClock, nursery: trio.Nursery, listener: Listener
) -> None:
    store = Mailbox[StoreMessage]("store", capacity=1)
    nursery.start_soon(partial(run_store, store, live(), hub=None, gaps=None))
    await nursery.start(run_watchdog, notifier(listener), store, memory)
    await trio.sleep(4)
    assert listener.heard() == ["STATUS=live, 0 series"]
    nursery.cancel_scope.cancel()


async def test_the_program_reports_ready_watchdog_and_stopping(
    listener: Listener, tmp_path: Path
) -> None:
    program = Program(
        *(tmp_path / "log", "serve", "--simulated", "--memory", "--port", str(free_port())),
        *("--symbols", "BTCUSDT", "--intervals", "1m"),
        NOTIFY_SOCKET=listener.socket.getsockname(),
        WATCHDOG_USEC="400000",
    )
    received: list[str] = []
    try:
        program.start()
        with trio.fail_after(20):
            while not {"WATCHDOG=1", "READY=1", "STATUS=live, 1 series"} <= set(received):
                received += "\n".join(listener.heard()).splitlines()
                await trio.sleep(0.02)
        program.send(signal.SIGSTOP)
        await trio.sleep(0.1)
        listener.heard()
        await trio.sleep(0.5)
        assert listener.heard() == []
        program.send(signal.SIGCONT)
        assert await program.stop() == 0
        assert "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000" in listener.heard()
    finally:
        program.kill()
