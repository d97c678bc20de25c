"""What came of a trial, and how it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

NAMES = {
    "stream_connected": "connected",
    "stream_down": "lost or refused",
    "stream_rotates": "rotated",
    "stream_stalled": "found stalled",
    "history_unavailable": "REST failed",
    "history_refused": "REST refused",
    "audit_skipped": "audit put off",
    "audit_difference": "repaired",
    "symbol_stopped": "stopped symbol reported",
}
HEADER = (
    "fault",
    "what the service did",
    "complete again",
    "other symbols noticed",
    "wrong afterwards",
    "weight of candles",
    "refused",
)


@dataclass(frozen=True)
class Result:
    name: str
    did: str
    seconds: float | None
    """Until it was complete again, from the end of the fault on; None if it was throughout."""
    noticed: str
    """What was seen of series that the fault does not concern; empty where it concerns all."""
    wrong: Sequence[str]
    """Candles missing or wrong, at REST or at a client, and limits exceeded."""
    weight: int
    """Of requests for candles, beyond what the audit spends anyway."""
    refused: int
    """Requests and handshakes that the exchange refused while the fault lasted."""

    @property
    def cells(self) -> tuple[str, ...]:
        again = "was throughout" if self.seconds is None else f"{self.seconds:.0f} s"
        return (
            self.name,
            self.did,
            again,
            self.noticed or "-",
            "none" if not self.wrong else f"{len(self.wrong)}: {self.wrong[0]}",
            str(self.weight),
            str(self.refused),
        )


def describe_reaction(
    events: Counter[str],
    feeds: Sequence[str],
    hints: Sequence[str],
    skipped: int,
    corrections: int,
) -> str:
    """In words and numbers, from what was counted."""
    parts = [f"{words} {events[name]}" for name, words in NAMES.items() if events[name]]
    if skipped:
        parts.append(f"messages skipped {skipped}")
    if corrections:
        parts.append(f"corrections sent {corrections}")
    states = [state for state, _ in groupby(feeds)]
    if len(states) > 4:
        states = [f"{state} {times}" for state, times in Counter(states).items()]
    if states:
        parts.append(f"feed: {', '.join(states)}")
    parts += [f"hint: {each}" for each in hints]
    return "; ".join(parts) or "nothing"


def table(results: Iterable[Result]) -> str:
    rows = [HEADER, tuple("---" for _ in HEADER), *(result.cells for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
