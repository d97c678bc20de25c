"""Ports of this machine for servers that tests start, also when several runs go on at once."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress

FIRST, END = 10_000, 20_000
"""Below the ports that Linux gives to connections (ip(7), `ip_local_port_range`)."""

_random = random.SystemRandom()  # Hypothesis seeds the other one, equally in every run


def free_port(*, bus: int = 0) -> int:
    """A port that no server has, and no other caller gets until this process ends.

    With `bus`, the port that is so much greater is free, too.
    """
    while True:
        port = _random.randrange(FIRST, END)
        with suppress(OSError), ExitStack() as stack:
            claim = stack.enter_context(socket.socket(socket.AF_UNIX))
            claim.bind(f"\0smarttrade-tests-{port}")  # in no directory: it ends with the process
            for each in {port, port + bus}:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            claim.detach()
            return port
