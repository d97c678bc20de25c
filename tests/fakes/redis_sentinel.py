"""Real Sentinels on this machine, with the primary and the replica that they watch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .redis_server import RedisServer

NAME = "candles"
DOWN_AFTER = 1000  # ms


class SentinelServer(RedisServer):
    def __init__(
        self,
        binary: str,
        directory: Path,
        primary_port: int,
        *,
        quorum: int = 2,
        down_after: int = DOWN_AFTER,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(binary, directory)
        self._file = directory / f"sentinel-{self.port}.conf"
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            + "".join(f"{name} {value}\n" for name, value in options.items())
            + f"sentinel monitor {NAME} 127.0.0.1 {primary_port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} {down_after}\n"
            f"sentinel failover-timeout {NAME} 6000\n"
        )

    def _command(self, *options: str) -> list[str]:
        return [self._binary, str(self._file), "--sentinel", *options]

    def state(self) -> dict[str, Any]:
        """What it knows about the primary."""
        with self.client() as client:
            answer: dict[str, Any] = client.sentinel_master(NAME)
        return answer


class Sentinels:
    """Server 0 begins as the primary of server 1."""

    def __init__(self, servers: list[RedisServer], sentinels: list[SentinelServer]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}"

    def primary(self) -> RedisServer:
        """As the first Sentinel sees it."""
        port = self.sentinels[0].state()["port"]
        return next(each for each in self.servers if each.port == port)

    def promote(self) -> None:
        """By hand, the replica."""
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL FAILOVER", NAME)

    def wait_until_complete(self) -> None:
        end = time.monotonic() + 30
        while not all(map(_is_complete, self.sentinels)):
            assert time.monotonic() < end, "the Sentinels do not find each other"
            time.sleep(0.05)

    def flush(self) -> None:
        with self.primary().client() as client:
            client.flushall()


def _is_complete(sentinel: SentinelServer) -> bool:
    state = sentinel.state()
    return (state["num-other-sentinels"], state["num-slaves"]) == (2, 1)


@contextmanager
def running_sentinels(
    binary: str, directory: Path, *, down_after: int = DOWN_AFTER
) -> Iterator[Sentinels]:
    with ExitStack() as stack:
        directories = [directory / name for name in ("primary", "replica", "sentinels")]
        for each in directories:
            each.mkdir()
        primary = stack.enter_context(RedisServer(binary, directories[0]))
        replica = RedisServer(binary, directories[1], "--replicaof", "127.0.0.1", str(primary.port))
        servers = [primary, stack.enter_context(replica)]
        while replica.info("replication")["master_link_status"] != "up":
            time.sleep(0.05)
        sentinels = [
            stack.enter_context(
                SentinelServer(binary, directories[2], primary.port, down_after=down_after)
            )
            for _ in range(3)
        ]
        found = Sentinels(servers, sentinels)
        found.wait_until_complete()
        yield found
