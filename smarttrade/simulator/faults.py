"""What can go wrong at the exchange and last for a while: switches, all off at first.

What happens once (a cut, a change of history) is in `incidents.py`. Scripts and the control path
name both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .switch import Switch

Names = frozenset[str]
ALL: Names = frozenset()


class Faults:
    """Turn any of these with `on(value, seconds)` and `off()`."""

    def __init__(self) -> None:
        # Connections

        self.refuse = Switch(bool, True, "new connections are reset at once")
        self.no_handshake = Switch(bool, True, "stream handshakes are never answered")
        self.handshake_status = Switch(
            int, 503, "stream handshakes are answered with this status: 429, 418, 451, 403, 503"
        )
        self.retry_after = Switch(
            str, "none", "Retry-After of every refusal, whatever its status; none: no such header"
        )

        self.only_hosts = Switch(
            Names, ALL, "faults concern what is asked of these host names only; empty: of any"
        )

        # Streams

        self.stall = Switch(Names, ALL, "these streams send nothing and lose events; empty: all")
        self.peer_stall = Switch(Names, ALL, "streams of these addresses send nothing; empty: all")
        self.late = Switch(float, 5.0, "events come so many seconds late")
        self.peer_late = Switch(
            dict[str, float], {}, "by address: events come so many seconds late there"
        )
        self.late_close = Switch(float, 30.0, "closing events come up to so many seconds late")
        self.missing_close = Switch(float, 1.0, "share of closing events that are not sent")
        self.duplicate = Switch(float, 0.2, "share of events that are sent twice")
        self.disorder = Switch(float, 0.2, "share of events that come after later ones")
        self.jitter = Switch(int, 10, "event times differ by up to so many ms, backwards")
        self.without_b = Switch(float, 1.0, "share of events without the field B")
        self.impossible = Switch(
            float, 0.1, "share of events preceded by a kline that opens long after its event time"
        )
        self.truncate = Switch(float, 0.1, "share of messages that end too early")
        self.garbage = Switch(float, 0.1, "share of events preceded by nonsense")
        self.broken_frames = Switch(
            float, 0.01, "share of events preceded by bytes that are no WebSocket frame"
        )
        self.no_ping = Switch(bool, True, "the server sends no pings")
        self.no_pong = Switch(bool, True, "the client's pings are not answered")

        # REST

        self.rest_status = Switch(
            int, 503, "REST answers with this status: 429, 418, 451, 403, 500, 502, 503, 504"
        )
        self.overload = Switch(bool, True, "REST answers 503 with the code -1008")
        self.firewall = Switch(
            float, 300.0, "403 as HTML, until an address has asked nothing for so many seconds"
        )
        self.redirect = Switch(str, "https://www.binance.com/", "REST redirects to this address")
        self.rest_slow = Switch(float, 3.0, "REST takes so many seconds longer")
        self.rest_hang = Switch(bool, True, "REST does not answer until this is over")
        self.rest_drip = Switch(float, 100.0, "answers come at so many bytes a second")
        self.rest_nonsense = Switch(
            str, "html", "200 with a body of: html, object, null, empty, cut (half of the truth)"
        )
        self.gzip_bomb = Switch(int, 100, "200 with so many MB of nothing in a few KB of gzip")
        self.rest_short = Switch(int, 100, "pages of klines have at most so many rows")
        self.rest_lag = Switch(
            float, 3.0, "REST reads what was so many seconds (exchange time) ago"
        )
        self.stale_rows = Switch(
            float, 5.0, "klines lack the trades of their end for so many seconds after it"
        )
        self.failing = Switch(Names, ALL, "klines of these symbols are answered with 500")
        self.unknown = Switch(Names, ALL, "REST does not know these symbols: -1121")
        self.others_weight = Switch(
            int, 3500, "so much of every minute's weight is used by others of the address"
        )

    def switches(self) -> Iterator[tuple[str, Switch[object]]]:
        yield from vars(self).items()

    def alter_events(self) -> bool:
        """Whether a fault is on that changes single events or drops them."""
        switches: tuple[Switch[Any], ...] = (
            self.stall,
            self.peer_stall,
            self.late_close,
            self.missing_close,
            self.duplicate,
            self.disorder,
            self.jitter,
            self.without_b,
            self.impossible,
            self.truncate,
            self.garbage,
            self.broken_frames,
        )
        return any(switch.value is not None for switch in switches)

    def concern(self, host: str) -> bool:
        """Whether the faults of handshakes, answers and events concern this host."""
        hosts = self.only_hosts.value
        return not hosts or host in hosts

    def lateness(self, peer: str) -> float:
        """Seconds by which events to an address are late."""
        by_peer = self.peer_late.value or {}
        return max(self.late.value or 0.0, by_peer.get(peer, 0.0))

    def clear(self) -> None:
        """Turn everything off."""
        for _, switch in self.switches():
            switch.off()
