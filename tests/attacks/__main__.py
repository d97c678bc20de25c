"""Attacks a service that it starts, and reports what a regular client noticed.

    python -m tests.attacks [--only NAME ...] [--seconds 8] [--tree DIRECTORY]

Each attack gets a service of its own with 60 series. All of its connections come from one address,
or from ten where it says so, and are opened again when they end. After some seconds the service is
stopped in the middle of the attack. The first attack is none, to compare with. `--tree` attacks
another checkout of the program, such as an older version.

A row of the table has what the attacker sent; the longest delay of an update, the 95th percentile
and the longest of `/health`, and the longest time until a new client has its chart, as the regular
client saw them; memory before the attack and at most; how the service stopped; and how the
attacker's connections ended.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from tests.fakes.ports import free_port
from tests.fakes.processes import Program

from . import crowds, floods, malformed
from .attacker import Attacker
from .regular_client import noticed

LIMITS = {
    "LOG_LEVEL": "warning",
    # The defaults; set explicitly, they hold for this machine's addresses too.
    "SMARTTRADE_REQUESTS_PER_SECOND_PER_IP": "200",
    "SMARTTRADE_REQUEST_BURST_PER_IP": "1000",
}
TRACEBACK = "Traceback"
WARM_UP = 8.0  # seconds in which the regular client sees what is usual


class Attack(NamedTuple):
    run: Callable[[Attacker], Awaitable[None]]
    connections: int
    addresses: int = 1
    tls: bool = False
    """Whether the service speaks TLS at its own port, with an RSA key of 2048 bits."""


ATTACKS = {
    "none": Attack(floods.none, 1),
    "continuations of one": Attack(floods.continuations, 1),
    "continuations": Attack(floods.continuations, 50),
    "pongs": Attack(floods.pongs, 50),
    "pings": Attack(floods.pings, 50),
    "pieces": Attack(floods.pieces, 50),
    "snapshots unread": Attack(floods.snapshots_unread, 200),
    "snapshots of ten": Attack(floods.snapshots_read, 10),
    "snapshots": Attack(floods.snapshots_read, 200),
    "bad entries": Attack(floods.bad_entries, 10),
    "status": Attack(floods.status, 50),
    "metrics": Attack(floods.metrics, 50),
    "pages": Attack(floods.pages, 50),
    "short pages": Attack(floods.short_pages, 50),
    "long heads": Attack(floods.long_heads, 200),
    "handshakes": Attack(floods.handshakes, 50),
    "TLS greetings": Attack(floods.tls_greetings, 200, tls=True),
    "slow heads": Attack(crowds.slow_heads, 1000),
    "connections": Attack(crowds.connections, 4000),
    "unread by a crowd": Attack(crowds.unread_snapshots, 1000, 10),
    "requests unread": Attack(crowds.unread_requests, 200),
    "request floods": Attack(crowds.request_floods, 200),
    "bad requests": Attack(crowds.bad_requests, 50),
    "huge frames": Attack(crowds.huge_frames, 100),
    "endless messages": Attack(crowds.endless_messages, 100),
    "odd frames": Attack(malformed.odd_frames, 50),
    "odd requests": Attack(malformed.odd_requests, 50),
    "noise": Attack(malformed.noise, 50),
}


async def report(name: str, seconds: float, tree: Path) -> None:
    """Run one attack, and print its row."""
    attack = ATTACKS[name]
    async with _service(tree, tls=attack.tls) as (program, output):
        await trio.sleep(WARM_UP)
        attacker = Attacker(program.port, attack.addresses)
        before = peak = _resident(program)
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            for _ in range(attack.connections):
                nursery.start_soon(attacker.repeat, attack.run)
            while time.monotonic() < began + seconds:
                await trio.sleep(0.1)
                peak = max(peak, _resident(program))
            seen = noticed(output, began)
            stopping = time.monotonic()
            status = await _stop(program)
            took = time.monotonic() - stopping
            nursery.cancel_scope.cancel()
        log = program.log.read_text()
    outcomes = ", ".join(f"{many} x {what}" for what, many in attacker.outcomes.most_common(6))
    print(
        f"| {name} | {attack.connections} | {attacker.sent / seconds / 1000:,.0f}"
        f" | {seen.update_delays[-1]:.2f} s"
        f" | {seen.health_p95 * 1000:.0f}, {seen.health[-1] * 1000:.0f} ms"
        f" | {seen.charts[-1]:.2f} s | {before}, {peak} MB | {status} after {took:.1f} s"
        f" | {outcomes} | {log.count(TRACEBACK)} |",
        flush=True,
    )
    print(log[-20_000:], file=sys.stderr)


@asynccontextmanager
async def _service(tree: Path, *, tls: bool) -> AsyncGenerator[tuple[Program, Path]]:
    """A service and a regular client of it, with the file that the client writes to."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "regular"
        program = Program(
            Path(directory) / "log",
            *("serve", "--simulated", "--memory", "--port", str(free_port())),
            **LIMITS,
            **(_certificate(Path(directory)) if tls else {}),
        )
        program.directory = tree
        program.scheme = "https" if tls else "http"
        program.start()
        try:
            await program.ready()
            command = [sys.executable, "-m", "tests.attacks.regular_client", program.url]
            with output.open("wb") as file:
                regular = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)  # noqa: ASYNC220 - takes no time
            try:
                yield program, output
            finally:
                regular.kill()
                regular.wait()
        finally:
            program.kill()


def _certificate(directory: Path) -> dict[str, str]:
    """The settings that name it."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return {"SMARTTRADE_TLS_CERT": str(certificate), "SMARTTRADE_TLS_KEY": str(key)}


async def _stop(program: Program) -> int | str:
    try:
        return await program.stop()
    except trio.TooSlowError:
        return "not stopped"


def _resident(program: Program) -> int:
    """Megabytes."""
    pages = int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


async def main(seconds: float, tree: Path, only: Collection[str]) -> None:
    print(
        "| attack | connections | KB/s | update late | /health p95, worst | chart | memory"
        " | stop | connections ended | tracebacks |"
    )
    for name in only or ATTACKS:
        await report(name, seconds, tree)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--tree", type=Path, default=Path())
    parser.add_argument("--only", choices=ATTACKS, nargs="+", default=())
    arguments = parser.parse_args()
    trio.run(main, arguments.seconds, arguments.tree, arguments.only)
