"""What must never happen has happened."""

from __future__ import annotations


class Violation(Exception):
    """`invariant` names the rule; docs/simulation.md says what each means."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
