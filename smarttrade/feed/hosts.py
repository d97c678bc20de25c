"""Which host of a venue to ask, and which to leave alone until when: plain code.

What an answer means is the venue's knowledge; what follows from it is this table. Times are in
seconds.

    trouble      left alone for                                       which hosts
    limited      what the answer says, at most 10 min; else 1 min     all: counted by address
    banned       what the answer says, at most 3 days; else 5 min     all: counted by address
    blocked      6 min, growing to 30 min                             that one
    overloaded   1 min, growing to 5 min                              that one
    silent       1 min, growing to 10 min                             that one
    failing      1 s, growing to 10 s, after some failures in a row   that one

When the time is over, one request shows whether the host is well again; the others wait for it.
An answer ends the trouble. Hosts in trouble are asked in turn, after those that are not.
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


class Trouble(Enum):
    """Why a host is left alone."""

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
    """Seconds of `Retry-After` that are believed."""
    is_by_address: bool = False


_REACTIONS = {
    Trouble.LIMITED: _Reaction(Backoff(60.0, 60.0, jitter=0), 600.0, is_by_address=True),
    Trouble.BANNED: _Reaction(Backoff(300.0, 300.0, jitter=0), 3 * 86_400.0, is_by_address=True),
    Trouble.BLOCKED: _Reaction(Backoff(360.0, 1800.0, jitter=0.1), 60.0),
    Trouble.OVERLOADED: _Reaction(Backoff(90.0, 300.0, jitter=0.33), 60.0),
    Trouble.SILENT: _Reaction(Backoff(60.0, 600.0), 60.0),
    Trouble.FAILING: _Reaction(Backoff(1.0, 10.0), 60.0),
}

IN_A_ROW = 30.0
"""Seconds between two failures at most, for both to count as failures in a row."""

TRIAL_TIMEOUT = 30.0
"""Seconds after which the one request that shows whether a host is well again is given up: its
sender has ended."""

TRIAL_CHECK_INTERVAL = 0.25  # seconds between two looks whether that request was answered


class Host:
    """A base URL, and what is known of the server behind it."""

    __slots__ = (
        "failed_at",
        "failures",
        "left_at",
        "times",
        "trial_since",
        "trouble",
        "until",
        "url",
    )

    def __init__(self, url: str) -> None:
        self.url = url
        self.trouble: Trouble | None = None
        self.until = float("-inf")
        """When it may be asked again."""
        self.left_at = float("-inf")
        """When it was left alone last. What was asked until then says nothing new."""
        self.times = 0
        """How often in a row it was left alone."""
        self.failures = 0
        """In a row, of which none was reason enough to leave it alone."""
        self.failed_at = float("-inf")
        self.trial_since: float | None = None
        """Since when a request is under way that shows whether it is well again."""

    @property
    def name(self) -> str:
        """Without what a URL has beside it, but for the port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def is_limited(self) -> bool:
        """Whether it is left alone for what is counted by address."""
        return self.trouble is not None and _REACTIONS[self.trouble].is_by_address

    def is_on_trial(self, now: float) -> bool:
        """Whether a request is under way that shows whether it is well again."""
        return self.trial_since is not None and now < self.trial_since + TRIAL_TIMEOUT


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
        """The host to ask now, if there is one; report what became of it."""
        host = next((host for host in self._in_order(tried) if not self._wait(host, now)), None)
        if host is not None and host.trouble is not None:
            host.trial_since = now
        return host

    def answered(self, host: Host) -> None:
        """It gave an answer of the venue."""
        self._current = host
        if host.trouble is not None:
            logger.info("host_answers", host=host.url, was=host.trouble.value)
        for each in self._hosts if host.is_limited else [host]:
            each.trouble, each.times, each.failures, each.trial_since = None, 0, 0, None

    def dropped(self, host: Host) -> None:
        """What was sent to it was given up, which says nothing about the host."""
        host.trial_since = None

    def failed(
        self,
        host: Host,
        trouble: Trouble,
        now: float,
        *,
        asked_at: float,
        retry_after: float | None = None,
    ) -> None:
        """It gave no answer of the venue to what was asked at `asked_at`."""
        is_trial, host.trial_since = host.trial_since is not None, None
        if trouble is Trouble.FAILING and retry_after is None and not is_trial:
            if asked_at > host.left_at:
                host.failures = host.failures + 1 if now < host.failed_at + IN_A_ROW else 1
                host.failed_at = now
            if host.failures < self._failures:
                return
        reaction = _REACTIONS[trouble]
        if reaction.is_by_address:
            self.limited += 1
        requested = None if retry_after is None else min(retry_after, reaction.max_retry_after)
        for each in self._hosts if reaction.is_by_address else [host]:
            if each.trouble is not trouble or asked_at > each.left_at:
                each.times += 1
                pause = reaction.pause.pause(each.times, self._chance())
                self._leave_alone(each, trouble, now, pause if requested is None else requested)
            elif requested is not None:
                each.until = max(each.until, now + requested)

    def leave_alone(self, url: str, trouble: Trouble, now: float) -> None:
        """Ask another host than `url` for a while, for what was found out otherwise.

        Does nothing while no other host may be asked.
        """
        host = next(host for host in self._hosts if host.url == url)
        if self.wait(now, (url,)) == 0:
            self.failed(host, trouble, now, asked_at=now)

    def describe(self, now: float) -> list[dict[str, object]]:
        """For people: each host, its trouble, and for how many seconds it is left alone.

        Names only: a URL may have credentials in it.
        """
        return [
            {
                "host": host.name,
                "state": "ok" if host.trouble is None else host.trouble.value,
                "left_alone_for": round(max(0.0, host.until - now), 1),
            }
            for host in self._hosts
        ]

    def _leave_alone(self, host: Host, trouble: Trouble, now: float, seconds: float) -> None:
        logger.warning(
            "host_left_alone", host=host.url, reason=trouble.value, seconds=round(seconds, 1)
        )
        host.trouble, host.left_at, host.failures = trouble, now, 0
        host.until = max(host.until, now + seconds)

    def _wait(self, host: Host, now: float) -> float:
        if now < host.until:
            return host.until - now
        trials = (each for each in self._hosts if each is host or host.is_limited)
        return TRIAL_CHECK_INTERVAL if any(each.is_on_trial(now) for each in trials) else 0.0

    def _in_order(self, tried: Collection[str]) -> list[Host]:
        hosts = [self._current, *(host for host in self._hosts if host is not self._current)]
        left = [host for host in hosts if host.url not in tried]
        return sorted(left, key=lambda host: host.left_at if host.trouble else float("-inf"))
