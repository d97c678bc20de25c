"""Which shard a line of the log is about, where there are several."""

from __future__ import annotations

from structlog.contextvars import bind_contextvars

from .shards import Shard


def bind_shard(shard: Shard) -> None:
    """For all that the current task logs from now on."""
    if shard.count > 1:
        bind_contextvars(shard=shard.number)
