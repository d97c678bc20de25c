"""What can go wrong at the exchange and stay wrong for a while: switches, all off at first.

What happens once (a cut, a change of history) is in `incidents.py`. Both are told apart only by
the code; scripts and the control path name them alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .switch import Switch

Names = frozenset[str]
EVERYTHING: Names = frozenset()


@dataclass(slots=True)
class Faults:
    """Turn any of these with `on(value, seconds)` and `off()`."""

    refuse: Switch[bool] = field(
        default_factory=lambda: Switch(bool, True, "new connections are reset at once")
    )
    no_handshake: Switch[bool] = field(
        default_factory=lambda: Switch(bool, True, "stream handshakes are never answered")
    )
    handshake_status: Switch[int] = field(
        default_factory=lambda: Switch(
            int, 503, "stream handshakes are answered with this status: 429, 418, 451, 403, 503"
        )
    )

    stall: Switch[Names] = field(
        default_factory=lambda: Switch(
            Names, EVERYTHING, "these streams say nothing and lose what they would; empty: all"
        )
    )
    late: Switch[float] = field(
        default_factory=lambda: Switch(float, 5.0, "events come so many seconds late")
    )
    duplicate: Switch[float] = field(
        default_factory=lambda: Switch(float, 0.2, "share of events that are sent twice")
    )
    disorder: Switch[float] = field(
        default_factory=lambda: Switch(float, 0.2, "share of events that come after later ones")
    )
    truncate: Switch[float] = field(
        default_factory=lambda: Switch(float, 0.1, "share of messages that end too early")
    )
    garbage: Switch[float] = field(
        default_factory=lambda: Switch(float, 0.1, "share of events preceded by nonsense")
    )
    broken_frames: Switch[float] = field(
        default_factory=lambda: Switch(
            float, 0.01, "share of events preceded by bytes that are no WebSocket frame"
        )
    )
    missing_close: Switch[float] = field(
        default_factory=lambda: Switch(float, 1.0, "share of closing events that are not sent")
    )
    no_ping: Switch[bool] = field(
        default_factory=lambda: Switch(bool, True, "the server sends no pings")
    )
    no_pong: Switch[bool] = field(
        default_factory=lambda: Switch(bool, True, "the client's pings are not answered")
    )

    rest_status: Switch[int] = field(
        default_factory=lambda: Switch(
            int, 503, "REST answers with this status: 429, 418, 451, 403, 500, 502, 503, 504"
        )
    )
    rest_slow: Switch[float] = field(
        default_factory=lambda: Switch(float, 3.0, "REST takes so many seconds longer")
    )
    rest_hang: Switch[bool] = field(
        default_factory=lambda: Switch(bool, True, "REST does not answer until this is over")
    )
    rest_drip: Switch[float] = field(
        default_factory=lambda: Switch(float, 100.0, "answers come at so many bytes a second")
    )
    rest_nonsense: Switch[str] = field(
        default_factory=lambda: Switch(
            str, "html", "200 with a body of: html, object, null, empty, cut (half of the truth)"
        )
    )
    rest_short: Switch[int] = field(
        default_factory=lambda: Switch(int, 100, "pages of klines have at most so many rows")
    )
    rest_lag: Switch[float] = field(
        default_factory=lambda: Switch(
            float, 3.0, "REST reads what was so many seconds (exchange time) ago"
        )
    )

    def switches(self) -> Iterator[tuple[str, Switch[object]]]:
        for name in self.__slots__:
            yield name, getattr(self, name)

    def troubles_events(self) -> bool:
        """Whether any of what is done to single events is on."""
        return (
            self.stall.value is not None
            or self.duplicate.value is not None
            or self.disorder.value is not None
            or self.truncate.value is not None
            or self.garbage.value is not None
            or self.broken_frames.value is not None
            or self.missing_close.value is not None
        )

    def clear(self) -> None:
        """Turn everything off."""
        for _, switch in self.switches():
            switch.off()
