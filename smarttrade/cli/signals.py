"""Run until a signal, and always end.

Signals are blocked in every thread but one, which waits for them. So they are noticed, and a stop
that takes too long is ended, even when Trio's loop is frozen; and there is no `KeyboardInterrupt`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import trio

from .messages import message_line

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_TIMEOUT = 10.0  # seconds for an ordered stop, whatever clients and the exchange do
STUCK = 70  # the exit status when it took longer; EX_SOFTWARE of sysexits.h
WRITE_TIMEOUT = 1.0  # seconds for the reason to be written: the reader may be stuck as well


def run_until_signal(
    main: Callable[[trio.Event], Awaitable[int]], *, drain_delay: float = 0.0
) -> int:
    """Run `main` under Trio and return its exit status.

    The first SIGINT, SIGTERM or SIGHUP sets the event that `main` is given. A second ends the
    process at once, with status 128 and the signal's number, and so does the end of `STOP_TIMEOUT`
    seconds after `drain_delay`, with status 70 and a line that says so. To be called from the main
    thread, once.
    """
    # Before there is any other thread, as threads inherit it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    return trio.run(_run, main, STOP_TIMEOUT + drain_delay)


async def until_stopped(work: Callable[[], Awaitable[int]], stop: trio.Event) -> int:
    """The exit status that `work` returns; 0 if `stop` is set before it has, which cancels it."""
    status = 0

    async def do() -> None:
        nonlocal status
        status = await work()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(do)
        await stop.wait()
        nursery.cancel_scope.cancel()
    return status


async def _run(main: Callable[[trio.Event], Awaitable[int]], stop_timeout: float) -> int:
    stop = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def ask() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(stop.set)

    threading.Thread(
        target=_wait_for_signals, args=(ask, stop_timeout), name="signals", daemon=True
    ).start()
    return await main(stop)


def _wait_for_signals(ask: Callable[[], None], stop_timeout: float) -> None:
    signal.sigwait(SIGNALS)
    ask()
    second = signal.sigtimedwait(SIGNALS, stop_timeout)
    if second is not None:
        end_now(128 + second.si_signo)
    end_now(STUCK, f"not stopped after {stop_timeout:g} s, ending now; it was at\n{_main_stack()}")


def end_now(status: int, reason: str = "") -> NoReturn:
    """End the process at once, with a reason on standard error."""
    text = f"{message_line(reason)}\n" if reason else ""
    if sys.stderr.isatty():
        text += "\x1b[?25h"  # a progress bar hides the cursor
    # Not through sys.stderr, whose lock a frozen thread may hold.
    writer = threading.Thread(target=os.write, args=(2, text.encode()), daemon=True)
    writer.start()
    writer.join(WRITE_TIMEOUT)
    os._exit(status)


def _main_stack() -> str:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
    return "".join(traceback.format_stack(frame)[-6:]).rstrip()
