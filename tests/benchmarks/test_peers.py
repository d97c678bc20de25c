"""Every measured server delivers every update, in the same bytes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.benchmarks.exchange import CLOSES
from tests.benchmarks.fanout import ALL
from tests.benchmarks.peers import ENDPOINT, PEERS, _missing_distribution, _missing_in_node
from tests.benchmarks.processes import PRODUCT, exchange, server

ROUNDS = 2
PERIOD = 2.0  # seconds: a client that is behind is not sent every state


def receive(port: int, path: str) -> Iterator[str]:
    """Updates as a client of all series receives them."""
    with connect(f"ws://127.0.0.1:{port}{path}", compression=None, max_size=None) as client:
        if path == ENDPOINT:
            client.send(json.dumps({"action": "subscribe", "subscriptions": ALL}))
        while True:
            message = client.recv(timeout=10)
            assert isinstance(message, str)
            if message.startswith('{"type":"candle"'):
                yield message


@pytest.mark.parametrize("which", [PRODUCT, *PEERS])
def test_clients_receive_every_update_in_the_same_bytes(which: str) -> None:
    missing = _missing_distribution("uvloop")  # of the exchange, for all
    if which in PEERS:
        missing = missing or PEERS[which].find_missing()
    if missing:
        pytest.skip(missing)
    path = PEERS[which].path(ALL) if which in PEERS else ENDPOINT
    closes = defaultdict(list)
    with exchange(period=PERIOD) as venue, server(which, venue) as process:
        messages = receive(process.port, path)
        for _ in range(ROUNDS * len(ALL)):
            text = next(messages)
            found = json.loads(text)
            candle = found["candle"]
            closes[found["symbol"], found["interval"]].append(candle["close"])
            assert text == (
                f'{{"type":"candle","symbol":"{found["symbol"]}","interval":"{found["interval"]}",'
                f'"candle":{{"time":{candle["time"]},"open":96440.0,"high":96495.52,"low":96420.0,'
                f'"close":{candle["close"]},"volume":{candle["volume"]}}},"closed":false}}'
            )
        messages.close()  # type: ignore[attr-defined]
    sent = [float(close) for close in CLOSES]
    for received in closes.values():
        begin = sent.index(received[0])
        assert received == (sent + sent)[begin : begin + len(received)]
    assert {len(received) for received in closes.values()} <= {ROUNDS - 1, ROUNDS, ROUNDS + 1}
    assert len(closes) == len(ALL)


def test_what_is_not_installed_is_named() -> None:
    assert _missing_distribution("json", "no_such") == "no_such: pip install -e '.[bench]'"
    missing = _missing_in_node("no-such")
    assert missing is not None
    assert "no-such" in missing or missing == "node is not installed"
