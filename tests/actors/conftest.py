import signal
from collections.abc import Iterator

import pytest

TIME_LIMIT = 20  # seconds of real time; the slowest test needs two


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Interrupt a test that hangs as by Ctrl-C, which Trio delivers to the main task."""
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.alarm(TIME_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
