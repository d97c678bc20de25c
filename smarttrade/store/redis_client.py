"""redis-py's clients for one server, a Cluster, and Sentinels: the only module that knows it.

Everything here blocks, and belongs into a worker thread (`redis_lane.py`).

The library's own retries are off: they would repeat a write without knowing whether it had
arrived, and keep a thread for most of a minute. Redirections of a Cluster are followed, as the
server that sends one has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import SSLConnection, parse_url
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from .database import DatabaseUnavailable
from .redis_address import (
    MAX_HOSTS,
    ClusterAddress,
    Host,
    RedisAddress,
    SentinelAddress,
    ServerAddress,
)
from .redis_script import Script

T = TypeVar("T")


class RedisClient:
    """For one thread at a time. One server's connects when it is first used."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        """Its types cover every protocol and asyncio; ours is known."""

    nodes: Sequence[Host] = ()
    """Of a Cluster, all that it has."""

    def run_script(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run `script`, sent whole only to a server that does not have it."""
        try:
            return self.redis.evalsha(script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.redis.eval(script.text, len(keys), *keys, *arguments)

    def read_stream(self, key: str, after: str, count: int, block: int) -> Any:
        """XREAD of one stream, waiting up to `block` ms: its entries, or None."""
        command = ("XREAD", "COUNT", count, "BLOCK", block, "STREAMS", key, after)
        answer = self.redis.execute_command(*command, **self._at(key))
        return answer[0][1] if answer else None

    def info(self, key: str) -> Mapping[str, Any]:
        """What the server that has `key` says about itself."""
        answer: Mapping[str, Any] = self.redis.info(**self._at(key))
        return answer

    def doubts(self, info: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        """Why a fail-over may not work, where `info` is what the primary says."""
        return []

    def close(self) -> None:
        with suppress(RedisError, OSError):
            self.redis.close()

    def _at(self, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Options that send a command to the server that has `key`."""
        return {}


class _Sentinels(Sentinel):
    """Goes on to the next one after any error, and says why each did not help.

    The library's message has each client's repr, hence its user name and all options.
    """

    def discover_master(self, service_name: str) -> tuple[str, int]:
        reasons = []
        for place, sentinel in enumerate(self.sentinels):
            try:
                known: Any = sentinel.sentinel_masters()
                state = known.get(service_name)
            except (RedisError, OSError) as error:
                reasons.append(f"{_where(sentinel)}: {_text(error)}")
                continue
            if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                self.sentinels.insert(0, self.sentinels.pop(place))
                return state["ip"], state["port"]
            reasons.append(f"{_where(sentinel)}: {'it is down' if state else 'unknown'}")
        raise MasterNotFoundError(f"no primary {service_name!r}: {'; '.join(reasons)}")


class _SentinelClient(RedisClient):
    """Each new connection goes to the server that the Sentinels call the primary."""

    def __init__(self, sentinel: Sentinel, name: str) -> None:
        super().__init__(sentinel.master_for(name))  # type: ignore[no-untyped-call]
        self._sentinels: Sequence[Redis] = sentinel.sentinels
        self._name = name

    def doubts(self, info: Mapping[str, Any]) -> list[str]:
        found = _replica_doubts(info)
        for each in self._sentinels:
            try:
                each.execute_command("SENTINEL", "CKQUORUM", self._name)  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                found.append(f"Sentinel {_where(each)}: {_text(error)}")
        return found

    def close(self) -> None:
        super().close()
        for each in self._sentinels:
            with suppress(RedisError, OSError):
                each.close()


class _Cluster(RedisCluster):
    """Follows ASK to a node that has no slots yet, which CLUSTER SLOTS does not list."""

    def get_node(
        self, host: str | None = None, port: int | None = None, node_name: str | None = None
    ) -> ClusterNode | None:
        node: ClusterNode | None = super().get_node(host, port, node_name)  # type: ignore[no-untyped-call]
        if node is None and node_name is not None:
            name, _, number = node_name.rpartition(":")
            node = ClusterNode(name, int(number), "primary")  # type: ignore[no-untyped-call]
            self.nodes_manager.nodes_cache[node_name] = node
        return node


class _ClusterClient(RedisClient):
    """Connects at once, to learn which nodes there are."""

    def __init__(self, cluster: RedisCluster) -> None:
        super().__init__(cluster)  # type: ignore[arg-type]
        nodes = self.redis.get_primaries() + self.redis.get_replicas()
        self.nodes = tuple(Host(node.host, node.port) for node in nodes)

    def doubts(self, info: Mapping[str, Any]) -> list[str]:
        state = self.redis.cluster_info()["cluster_state"]
        return [*_replica_doubts(info), *([] if state == "ok" else [f"cluster_state is {state}"])]

    def close(self) -> None:
        """Its parts refer to each other, and 1.4 MB would wait for the garbage collector."""
        super().close()
        vars(self.redis).clear()

    def _at(self, key: str) -> Mapping[str, Any]:
        """The library would ask a server which keys a command has, before each XREAD."""
        return {"target_nodes": self.redis.get_node_from_key(key)}


def open_client(address: RedisAddress, timeout: float, known: Sequence[Host] = ()) -> RedisClient:
    """A client; `timeout` is the time limit in seconds for connecting, and for each answer.

    `known` are nodes of a Cluster that were there before: those in its URL may be gone.
    """
    limits: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,  # the only one that every server speaks without being asked
    }
    retry = Retry(NoBackoff(), 0)
    match address:
        case ServerAddress(url):
            if not url.startswith("unix:"):
                limits["socket_keepalive"] = True
            return RedisClient(Redis.from_url(url, retry=retry, **limits))
        case SentinelAddress():
            options = {**_options(address.url), **limits, "retry": retry, "socket_keepalive": True}
            sentinel = _Sentinels(  # type: ignore[no-untyped-call]
                address.sentinels, sentinel_kwargs=_for_sentinels(address, options), **options
            )
            return _SentinelClient(sentinel, address.primary)
        case ClusterAddress():
            hosts = list(dict.fromkeys((*address.nodes, *known)))[:MAX_HOSTS]
            return _ClusterClient(
                _Cluster(
                    startup_nodes=[ClusterNode(*each) for each in hosts],  # type: ignore[no-untyped-call]
                    retry=retry,
                    require_full_coverage=False,  # another shard of it may be down
                    dynamic_startup_nodes=False,  # which forgets names, and addresses change
                    socket_keepalive=True,
                    **_options(address.url),
                    **limits,
                )
            )


def _options(url: str) -> dict[str, Any]:
    """What is the same for several servers: all that `url` says but where."""
    options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return {name: value for name, value in options.items() if name not in ("host", "port")}


def _for_sentinels(address: SentinelAddress, options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("retry", "protocol", "ssl")
    same = {
        name: value
        for name, value in options.items()
        if name in names or name.startswith(("ssl_", "socket_"))
    }
    return {**same, "username": address.username, "password": address.password}


def translated(call: Callable[[], T]) -> T:
    """Call; every failure of the library or the network is one kind to us.

    A Cluster without slots is an `IndexError` of the library, one that answers strangely may be a
    `KeyError`.
    """
    try:
        return call()
    except (RedisError, RedisClusterException, OSError, LookupError) as error:
        raise DatabaseUnavailable(f"{type(error).__name__}: {_text(error)}") from error


def _where(sentinel: Redis) -> str:
    options = sentinel.get_connection_kwargs()
    return f"{options['host']}:{options['port']}"


def _text(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    hint = " Is its slot being moved?" if text == "TTL exhausted." else ""
    return f"{text:.300}{hint}"


def _replica_doubts(info: Mapping[str, Any]) -> list[str]:
    if int(info.get("connected_slaves", 1)):
        return []
    return ["the primary has no replica: nothing can take over"]
