"""What docs/clients.md says of the Python client works as it stands there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.processes import Exchange, Service, eventually
from tests.browser.relay import Relay
from tests.docs.test_examples import (
    MINUTE,
    assert_complete_and_equal,
    closes,
    newest_final,
    printed_candles,
    running,
    saved,
)
from tests.fakes.ports import free_port

CLIENTS = Path(__file__).parents[2] / "clients" / "python"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Exchange(free_port()) as exchange, Service(free_port(), exchange) as service:
        yield service


@pytest.fixture
def where_the_client_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CLIENTS))


@pytest.mark.usefixtures("where_the_client_is_installed")
@pytest.mark.parametrize("name", ["blocking.py", "with_asyncio.py", "with_trio.py"])
def test_follower_misses_nothing_after_a_lost_network(
    name: str, service: Service, tmp_path: Path
) -> None:
    with Relay(service.port) as relay:
        file = saved(tmp_path, name, relay.url)
        with running(sys.executable, str(file), cwd=tmp_path) as lines:
            eventually(lambda: len(printed_candles(lines)) > 500, "a snapshot, and more")
            relay.swallow()
            last = printed_candles(lines)[-1][0]
            eventually(lambda: max(closes(service)) > last + 2 * MINUTE, "two candles later")
            missed = max(closes(service))
            relay.pass_on()
            eventually(lambda: newest_final(lines) > missed, "it has reconnected, and continues")
    assert_complete_and_equal(lines, service)


@pytest.mark.usefixtures("where_the_client_is_installed")
def test_history_is_a_table(service: Service, tmp_path: Path) -> None:
    file = saved(tmp_path, "table.py", service.url)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    head, *rows = done.stdout.splitlines()
    assert head == "time,open,high,low,close,volume"
    assert len(rows) == 100
    truth = service.candles("BTCUSDT", "1h")[-50]
    assert ",".join(map(str, truth.values())) in rows
