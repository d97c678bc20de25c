import signal
from collections.abc import Iterator

import pytest

PATIENCE = 20  # seconds of real time; the slowest test needs two


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """A test that hangs is interrupted as by Ctrl-C, which Trio knows how to deliver."""
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
