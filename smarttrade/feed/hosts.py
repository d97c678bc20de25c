"""Which host of a venue to ask: a circuit breaker for each, as plain code.

The venue knows what an answer means; this table says what follows from it. Times are in
seconds.

    failure      its circuit is open for                              which hosts
    limited      what the answer says, at most 10 min; else 1 min     all: counted by address
    banned       what the answer says, at most 3 days; else 5 min     all: counted by address
    blocked      6 min, growing to 30 min                             that one
    overloaded   1 min, growing to 5 min                              that one
    silent       1 min, growing to 10 min                             that one
    failing      1 s, growing to 10 s, after some failures in a row   that one

Nothing is sent to a host whose circuit is open. When the time is over, the circuit is half-open:
one request is the probe, and the others wait for it. An answer closes the circuit, another failure
opens it for longer. Half-open hosts are asked in turn, after those whose circuit is closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

import structlog

from actors import Backoff

logger = structlog.get_logger("feed.hosts")


class FailureKind(Enum):
    """How a host fails."""

    LIMITED = "limited"
    """This address asks too much."""
    BANNED = "banned"
    """It went on asking after that."""
    BLOCKED = "blocked"
    """A firewall refuses; each further request prolongs it."""
    OVERLOADED = "overloaded"
    """The host itself asks for minutes."""
    SILENT = "silent"
    """A connection stays open and delivers nothing."""
    FAILING = "failing"
    """No answer, or one that is not the venue's."""


@dataclass(frozen=True, slots=True)
class _Reaction:
    pause: Backoff
    """When the answer does not say how long."""
    max_retry_after: float
    """Seconds of `Retry-After` that are obeyed."""
    is_by_address: bool = False


_REACTIONS = {
    FailureKind.LIMITED: _Reaction(Backoff(60.0, 60.0, jitter=0), 600.0, is_by_address=True),
    FailureKind.BANNED: _Reaction(
        Backoff(300.0, 300.0, jitter=0), 3 * 86_400.0, is_by_address=True
    ),
    FailureKind.BLOCKED: _Reaction(Backoff(360.0, 1800.0, jitter=0.1), 60.0),
    FailureKind.OVERLOADED: _Reaction(Backoff(90.0, 300.0, jitter=0.33), 60.0),
    FailureKind.SILENT: _Reaction(Backoff(60.0, 600.0), 60.0),
    FailureKind.FAILING: _Reaction(Backoff(1.0, 10.0), 60.0),
}

IN_A_ROW = 30.0
"""Seconds between two failures at most, for both to count as failures in a row."""

PROBE_TIMEOUT = 30.0
"""Seconds after which a probe is given up: its sender has ended."""

PROBE_CHECK_INTERVAL = 0.25  # seconds between two looks whether a probe was answered


class Host:
    """A base URL, and the circuit of the server behind it."""

    __slots__ = (
        "failed_at",
        "failures",
        "open_reason",
        "open_until",
        "opened_at",
        "openings",
        "probe_since",
        "url",
    )

    def __init__(self, url: str) -> None:
        self.url = url
        self.open_reason: FailureKind | None = None
        """Why the circuit is open or half-open; None while it is closed."""
        self.open_until = float("-inf")
        """When it may be asked again."""
        self.opened_at = float("-inf")
        """When the circuit was opened last. What was asked until then says nothing new."""
        self.openings = 0
        """How often in a row it was opened."""
        self.failures = 0
        """In a row, of which none was reason enough to open the circuit."""
        self.failed_at = float("-inf")
        self.probe_since: float | None = None
        """Since when a probe is under way."""

    @property
    def name(self) -> str:
        """Without what a URL has beside it, but for the port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def is_limited(self) -> bool:
        """Whether its circuit is open for what is counted by address."""
        return self.open_reason is not None and _REACTIONS[self.open_reason].is_by_address

    def is_probing(self, now: float) -> bool:
        """Whether a probe is under way."""
        return self.probe_since is not None and now < self.probe_since + PROBE_TIMEOUT


class Hosts:
    """All hosts of one kind, in order of preference: the one that answered last comes first."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        failures: int = 1,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`failures` in a row, without an answer in between, make a host a failing one."""
        self._hosts = [Host(url.rstrip("/")) for url in urls]
        self._current = self._hosts[0]
        self._failures = failures
        self._chance = chance
        self.limited = 0
        """How often the venue limited this address."""

    @property
    def current(self) -> str:
        """The base URL that answered last."""
        return self._current.url

    def wait(self, now: float, tried: Collection[str] = ()) -> float | None:
        """Seconds until some host may be asked, 0 for now; None when all are in `tried`."""
        return min((self._wait(host, now) for host in self._in_order(tried)), default=None)

    def take(self, now: float, tried: Collection[str] = ()) -> Host | None:
        """The host to ask now, if there is one.

        The caller then calls `answered`, `failed` or `abandoned`.
        """
        host = next((host for host in self._in_order(tried) if not self._wait(host, now)), None)
        if host is not None and host.open_reason is not None:
            host.probe_since = now
        return host

    def answered(self, host: Host) -> None:
        """It gave an answer of the venue: its circuit is closed."""
        self._current = host
        if host.open_reason is not None:
            logger.info("host_circuit_closed", host=host.url, was=host.open_reason.value)
        for each in self._hosts if host.is_limited else [host]:
            each.open_reason, each.openings, each.failures, each.probe_since = None, 0, 0, None

    def abandoned(self, host: Host) -> None:
        """What was sent to it was given up, which says nothing about the host."""
        host.probe_since = None

    def failed(
        self,
        host: Host,
        kind: FailureKind,
        now: float,
        *,
        asked_at: float,
        retry_after: float | None = None,
    ) -> None:
        """It gave no answer of the venue to what was asked at `asked_at`."""
        was_probing, host.probe_since = host.probe_since is not None, None
        if kind is FailureKind.FAILING and retry_after is None and not was_probing:
            if asked_at > host.opened_at:
                host.failures = host.failures + 1 if now < host.failed_at + IN_A_ROW else 1
                host.failed_at = now
            if host.failures < self._failures:
                return
        reaction = _REACTIONS[kind]
        if reaction.is_by_address:
            self.limited += 1
        requested = None if retry_after is None else min(retry_after, reaction.max_retry_after)
        for each in self._hosts if reaction.is_by_address else [host]:
            if each.open_reason is not kind or asked_at > each.opened_at:
                each.openings += 1
                pause = reaction.pause.pause(each.openings, self._chance())
                self._open(each, kind, now, pause if requested is None else requested)
            elif requested is not None:
                each.open_until = max(each.open_until, now + requested)

    def open_circuit(self, url: str, kind: FailureKind, now: float) -> None:
        """Ask another host than `url` for a while, for what was found out otherwise.

        Does nothing while no other host may be asked.
        """
        host = next(host for host in self._hosts if host.url == url)
        if self.wait(now, (url,)) == 0:
            self.failed(host, kind, now, asked_at=now)

    def describe(self, now: float) -> list[dict[str, object]]:
        """For people: each host, how it fails, and in how many seconds it is asked again.

        Names only: a URL may have credentials in it.
        """
        return [
            {
                "host": host.name,
                "state": "ok" if host.open_reason is None else host.open_reason.value,
                "retry_in": round(max(0.0, host.open_until - now), 1),
            }
            for host in self._hosts
        ]

    def _open(self, host: Host, kind: FailureKind, now: float, seconds: float) -> None:
        logger.warning(
            "host_circuit_open", host=host.url, reason=kind.value, seconds=round(seconds, 1)
        )
        host.open_reason, host.opened_at, host.failures = kind, now, 0
        host.open_until = max(host.open_until, now + seconds)

    def _wait(self, host: Host, now: float) -> float:
        if now < host.open_until:
            return host.open_until - now
        # What is counted by address concerns all hosts, so one probe is enough for all.
        probed = (each for each in self._hosts if each is host or host.is_limited)
        return PROBE_CHECK_INTERVAL if any(each.is_probing(now) for each in probed) else 0.0

    def _in_order(self, tried: Collection[str]) -> list[Host]:
        hosts = [self._current, *(host for host in self._hosts if host is not self._current)]
        left = [host for host in hosts if host.url not in tried]
        return sorted(left, key=lambda host: host.opened_at if host.open_reason else float("-inf"))
