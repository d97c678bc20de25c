"""Results of `smarttrade check`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"

    @property
    def order(self) -> int:
        """What needs attention comes first."""
        return ("fail", "warn", "ok").index(self.value)


@dataclass(frozen=True, slots=True)
class CheckResult:
    level: Level
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.level.value:4}  {self.subject:8}  {self.text}"
