"""How often a stream connection may send: plain code. Times are in seconds."""

from __future__ import annotations

from collections import deque


class SendLimiter:
    """Keeps a connection within `max_messages` in any `period`, pongs included.

    Pongs take precedence: they are sent at once, since a server disconnects a client that does not
    answer its pings. All other messages together use at most a quarter of the limit (at least one),
    and wait while pongs use the rest. So the limit holds whatever the server does, unless its pings
    alone use more than the rest.
    """

    def __init__(self, max_messages: int, period: float) -> None:
        self._max_messages = max_messages
        self._period = period
        self._share = max(1, max_messages // 4)
        # When, and whether it was a pong. No more are needed: as many as these in one period leave
        # no room for another.
        self._sent: deque[tuple[float, bool]] = deque(maxlen=max_messages)

    def record(self, now: float, *, is_pong: bool) -> None:
        """A message was sent at `now`."""
        self._sent.append((now, is_pong))

    def ready_at(self, now: float) -> float:
        """`now` if a message other than a pong may be sent, else when to ask again."""
        recent = [(at, is_pong) for at, is_pong in self._sent if at + self._period > now]
        others = sum(not is_pong for _, is_pong in recent)
        if others < self._share and len(recent) < self._max_messages:
            return now
        return recent[0][0] + self._period
