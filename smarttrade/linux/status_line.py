"""The service in one line, for `systemctl status`. Plain code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..store.messages import Overview


def status_line(overview: Overview, redis: Mapping[str, Any]) -> str:
    """The feed, how many series there are and are not ready, and the role at Redis.

    `redis` is as `/system` has it. With several shards, each role has the number of shards.
    """
    parts = [overview.feed.feed.value, f"{overview.series_count} series"]
    if overview.not_ready:
        parts.append(f"{len(overview.not_ready)} not ready")
    if redis["kind"] == "redis":
        parts.append(f"Redis: {_roles(redis)}")
    return ", ".join(parts)


def _roles(redis: Mapping[str, Any]) -> str:
    roles = Counter(each["role"] for each in redis.get("shards", [redis]))
    if len(roles) == 1:
        return str(next(iter(roles)))
    return ", ".join(f"{role} ({number} of {roles.total()})" for role, number in roles.items())
