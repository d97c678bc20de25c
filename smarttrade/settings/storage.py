"""Variables of Redis, and of the processes that share it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator

from ..store.shards import MAX_SHARDS
from .fields import PREFIX, Variables, number, variable
from .redis_url import ALLOWED as REDIS_URL_ALLOWED
from .redis_url import read_redis_url
from .values import Explained, lower, namespace, or_none

DEFAULT_REDIS_URL = "redis://localhost:6379"
"""Where a Redis may answer when neither `REDIS_URL` nor `USE_MEMORY_STORE` is set."""


class StorageSettings(Variables):
    redis_url: Annotated[str | None, BeforeValidator(or_none(read_redis_url))] = variable(
        "REDIS_URL",
        None,
        f"Redis to keep candles in; if not set, the one at {DEFAULT_REDIS_URL} if it answers",
        allowed=REDIS_URL_ALLOWED,
    )
    use_memory_store: Annotated[bool, BeforeValidator(lower)] = variable(
        "USE_MEMORY_STORE",
        False,
        "keep candles in memory only, use no Redis",
        allowed="1, true, yes, 0, false or no",
    )
    redis_namespace: Annotated[str, AfterValidator(namespace)] = variable(
        f"{PREFIX}REDIS_NAMESPACE",
        "smarttrade",
        "what our keys in Redis begin with; processes that belong together have the same",
        allowed="up to 50 letters, digits and any of _ - . :",
    )
    shards: int = number(
        f"{PREFIX}SHARDS",
        1,
        "parts into which the symbols are divided, for several processes to feed; all processes"
        " have the same",
        *(1, MAX_SHARDS, ""),
    )
    shard: int | None = variable(
        f"{PREFIX}SHARD",
        None,
        "the part that this process feeds; for ingest only; if not set, all of them",
        allowed=f"a whole number from 0 to {MAX_SHARDS - 1}, less than SMARTTRADE_SHARDS",
        ge=0,
        le=MAX_SHARDS - 1,
    )

    @field_validator("shard")
    @classmethod
    def _is_one_of_the_shards(cls, shard: int | None, info: ValidationInfo) -> int | None:
        count = info.data.get("shards")
        if shard is not None and count is not None and shard >= count:
            raise Explained(f"SMARTTRADE_SHARDS is {count}")
        return shard

    redis_timeout: float = number(
        f"{PREFIX}REDIS_TIMEOUT", 1.0, "Redis has so long to answer", 0.1, 10, "s"
    )
    lease_ttl: float = number(
        f"{PREFIX}LEASE_TTL",
        3.0,
        "after so much silence of the process that writes to Redis, another takes over",
        *(1, 60, "s"),
    )
    max_stored_changes: int = number(
        f"{PREFIX}MAX_STORED_CHANGES",
        10_000,
        "batches of changes in Redis, for gateways that are behind",
        *(100, 1_000_000, ""),
    )
    stale_after: float = number(
        f"{PREFIX}STALE_AFTER",
        3.0,
        "a gateway without news for so long reports a stale feed to its clients",
        *(2, 3600, "s"),
    )

    @property
    def own_shards(self) -> range:
        """Those that this process feeds, or follows."""
        return range(self.shards) if self.shard is None else range(self.shard, self.shard + 1)
