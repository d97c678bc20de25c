"""A real Redis Cluster on this machine: three primaries with a replica each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from .ports import free_port
from .redis_server import RedisServer

META = "{smarttrade:0}:meta"
"""A key of the first shard."""

SLOTS = 16384
BUS = 10_000  # what the port of a node's bus is greater by
NODE_TIMEOUT = 1000  # ms after which a primary that does not answer counts as failed


class ClusterServer(RedisServer):
    """One node."""

    def __init__(self, binary: str, directory: Path, node_timeout: int, *options: str) -> None:
        directory.mkdir()
        super().__init__(
            binary,
            directory,
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout)),
            *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
            *options,
        )
        self.port = free_port(bus=BUS)

    def ask(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def id(self) -> bytes:
        answer: bytes = self.ask("CLUSTER MYID")
        return answer


class Cluster:
    """Servers 0 to 2 begin as the primaries of servers 3 to 5."""

    def __init__(self, servers: list[ClusterServer]) -> None:
        self.servers = servers

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.servers[:3])

    def form(self) -> None:
        primaries, replicas = self.servers[:3], self.servers[3:]
        for number, each in enumerate(primaries):
            first, end = (SLOTS * n // 3 for n in (number, number + 1))
            each.ask("CLUSTER ADDSLOTS", *range(first, end))
        for number, each in enumerate(self.servers):
            each.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
            self.servers[0].ask("CLUSTER MEET", "127.0.0.1", each.port)
        _wait_until(lambda: all(len(_nodes(each)) == len(self.servers) for each in self.servers))
        for primary, replica in zip(primaries, replicas, strict=False):
            replica.ask("CLUSTER REPLICATE", primary.id)
        _wait_until(self.is_complete)

    def is_complete(self) -> bool:
        with ExitStack() as stack:
            clients = [stack.enter_context(each.client()) for each in self.servers]
            links = [
                client.info("replication").get("master_link_status", "up") for client in clients
            ]
            states = [client.execute_command("CLUSTER INFO") for client in clients]
        return set(links) == {"up"} and all(each["cluster_state"] == "ok" for each in states)

    def add_empty(self, server: ClusterServer) -> None:
        """A node without slots."""
        self.servers[0].ask("CLUSTER MEET", "127.0.0.1", server.port)
        self.servers.append(server)
        _wait_until(lambda: all(len(_nodes(each)) == len(self.servers) for each in self.servers))
        _wait_until(self.is_complete)

    def primary(self) -> ClusterServer:
        """The one that serves the first shard."""
        return self.primary_of(META)

    def promote(self) -> None:
        """By hand, the replica of the one that serves the first shard."""
        self.replica_of(self.primary()).ask("CLUSTER FAILOVER")

    def primary_of(self, key: str) -> ClusterServer:
        """The one that serves `key`, as one of them sees it."""
        slot = key_slot(key.encode())
        for each in self.servers:
            if not each.is_running:
                continue
            for first, last, primary, *_ in each.ask("CLUSTER SLOTS"):
                if first <= slot <= last:
                    return next(each for each in self.servers if each.port == primary[1])
        raise AssertionError(f"no one serves {key}")

    def replica_of(self, primary: ClusterServer) -> ClusterServer:
        """The replica of one that serves."""
        with primary.client() as client:
            port = client.info("replication")["slave0"]["port"]
        return next(each for each in self.servers if each.port == port)

    def flush(self) -> None:
        for each in self.servers:
            with each.client() as client:
                if client.info("replication")["role"] == "master":
                    client.flushall()


class SlotMove:
    """Moves the slot of `key` to another primary, step by step."""

    def __init__(self, cluster: Cluster, key: str, to: ClusterServer) -> None:
        self.slot = key_slot(key.encode())
        self.source, self.to = cluster.primary_of(key), to
        self._cluster = cluster

    def begin(self) -> None:
        self.to.ask("CLUSTER SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER SETSLOT", self.slot, "MIGRATING", self.to.id)

    def left(self) -> list[bytes]:
        """The keys that have not moved."""
        answer: list[bytes] = self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 1000)
        return answer

    def move(self, *keys: bytes) -> None:
        self.source.ask("MIGRATE", "127.0.0.1", self.to.port, "", 0, 5000, "REPLACE", "KEYS", *keys)

    def end(self) -> None:
        for each in (self.to, self.source):
            each.ask("CLUSTER SETSLOT", self.slot, "NODE", self.to.id)


@contextmanager
def running_cluster(
    binary: str, directory: Path, *, node_timeout: int = NODE_TIMEOUT
) -> Iterator[Cluster]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ClusterServer(binary, directory / f"node-{n}", node_timeout))
            for n in range(6)
        ]
        cluster = Cluster(servers)
        cluster.form()
        yield cluster


def _nodes(server: ClusterServer) -> Any:
    return server.ask("CLUSTER NODES")


def _wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "the cluster does not form"
        time.sleep(0.05)
