"""Attacks a service that is running, with one flood after the other, until it is stopped.

python -m tests.attacks.in_turn PORT [--seconds 15] [--pause 15]
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from itertools import cycle

import trio

from . import crowds, floods, malformed
from .attacker import Attacker

IN_TURN: tuple[tuple[Callable[[Attacker], Awaitable[None]], int], ...] = (
    *((floods.continuations, 50), (floods.pongs, 50), (floods.pings, 50), (floods.pieces, 50)),
    *((floods.snapshots_unread, 200), (floods.snapshots_read, 20), (floods.bad_entries, 10)),
    *((floods.status, 50), (floods.metrics, 50), (floods.pages, 50), (floods.handshakes, 50)),
    *((crowds.slow_heads, 200), (crowds.bad_requests, 50), (crowds.endless_messages, 50)),
    *((floods.short_pages, 50), (floods.long_heads, 200), (crowds.unread_requests, 200)),
    *((malformed.odd_frames, 50), (malformed.odd_requests, 50), (malformed.noise, 50)),
)

SECONDS, PAUSE = 15.0, 15.0  # of each attack, and after it
ROUND = len(IN_TURN) * (SECONDS + PAUSE)  # until every attack had its turn


async def main(port: int, seconds: float, pause: float) -> None:
    for attack, connections in cycle(IN_TURN):
        print(attack.__name__, flush=True)
        attacker = Attacker(port)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for _ in range(connections):
                    nursery.start_soon(attacker.repeat, attack)
        await trio.sleep(pause)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--pause", type=float, default=PAUSE)
    arguments = parser.parse_args()
    trio.run(main, arguments.port, arguments.seconds, arguments.pause)
