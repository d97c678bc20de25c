"""What was measured, as a table of medians with their spread, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from . import peers

OURS = "smarttrade"


@dataclass
class Measure:
    """One figure of one case, for every measured program, once per repetition."""

    benchmark: str
    case: str
    metric: str
    unit: str
    is_rate: bool
    """Whether a higher figure is better."""
    goal: float | None = None
    """Goal: how many times better SmartTrade should be than each other program."""
    goal_beside: str = ""
    """The programs for which that is the goal; all if empty."""
    limit: float | None = None
    """Goal: maximum for SmartTrade, or minimum if it is a rate."""
    values: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, other: str) -> list[float]:
        """How many times better SmartTrade was, in each repetition."""
        pairs = zip(self.values.get(OURS, []), self.values[other], strict=False)
        found = [(ours, theirs) for ours, theirs in pairs if ours > 0 and theirs > 0]
        return [o / t if self.is_rate else t / o for o, t in found]

    @property
    def label(self) -> str:
        return f"{self.metric}, {self.unit}"

    def median(self, who: str) -> str:
        return _short(statistics.median(self.values[who])) if who in self.values else "-"

    def is_goal_beside(self, other: str) -> bool:
        return other != OURS and self.goal_beside in ("", other)

    @property
    def misses(self) -> list[str]:
        """Descriptions of the goals that are missed."""
        found = []
        if self.goal is not None:
            for other in filter(self.is_goal_beside, self.values):
                ratios = self.ratios(other)
                if ratios and statistics.median(ratios) < self.goal:
                    got = statistics.median(ratios)
                    found.append(f"{got:.2g} times better than {other}, not {self.goal:g}")
        ours = self.values.get(OURS)
        if self.limit is not None and ours:
            got = statistics.median(ours)
            if got < self.limit if self.is_rate else got > self.limit:
                found.append(f"{got:.3g} {self.unit}, not {self.limit:g}")
        return found


class Report:
    def __init__(self) -> None:
        self.measures: dict[tuple[str, str, str], Measure] = {}
        self.notes: list[str] = []

    def add(
        self,
        benchmark: str,
        case: str,
        metric: str,
        unit: str,
        who: str,
        value: float,
        **goals: Any,
    ) -> None:
        key = benchmark, case, metric
        if key not in self.measures:
            is_rate = goals.pop("is_rate", False)
            self.measures[key] = Measure(benchmark, case, metric, unit, is_rate)
        measure = self.measures[key]
        measure.goal = goals.get("goal", measure.goal)
        measure.goal_beside = goals.get("goal_beside", measure.goal_beside)
        measure.limit = goals.get("limit", measure.limit)
        measure.values.setdefault(who, []).append(value)

    def note(self, text: str) -> None:
        """Add a note for readers of the figures, once."""
        if text not in self.notes:
            self.notes.append(text)
            print("!", text, flush=True)

    def table(self) -> Iterator[str]:
        yield "| benchmark | case | figure | who | median (least to most) | ours is better by |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for measure in self.measures.values():
            for who, values in measure.values.items():
                ratio = "" if who == OURS else _spread(measure.ratios(who), " times")
                if measure.goal is not None and measure.is_goal_beside(who):
                    ratio += f" (goal {measure.goal:g})"
                if measure.limit is not None and who == OURS:
                    ratio = f"(goal {measure.limit:g} {measure.unit})"
                head = f"| {measure.benchmark} | {measure.case} | {measure.label} | {who}"
                yield f"{head} | {_spread(values)} | {ratio} |"
        for measure in self.measures.values():
            for miss in measure.misses:
                yield f"MISSED: {measure.benchmark}, {measure.case}, {measure.metric}: {miss}"
        for note in self.notes:
            yield f"NOTE: {note}"

    def columns(self, benchmark: str, metrics: Sequence[str]) -> Iterator[str]:
        """One row a case and one column a program, with the medians of `metrics` in each."""
        found = {key: one for key, one in self.measures.items() if key[0] == benchmark}
        if not found:
            return
        everyone = list(dict.fromkeys(who for one in found.values() for who in one.values))
        labels = dict.fromkeys(one.label for one in found.values() if one.metric in metrics)
        yield f"| {benchmark}: {'; '.join(labels)} | {' | '.join(everyone)} |"
        yield "| --- |" + " --- |" * len(everyone)
        for case in dict.fromkeys(case for _, case, _ in found):
            row = [found.get((benchmark, case, metric)) for metric in metrics]
            cells = ["; ".join(one.median(who) if one else "-" for one in row) for who in everyone]
            yield f"| {case} | {' | '.join(cells)} |"

    def write(self, path: Path) -> None:
        document = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} processors, Python {platform.python_version()}",
            "versions": versions(),
            "measures": [vars(measure) for measure in self.measures.values()],
            "notes": self.notes,
        }
        path.write_text(json.dumps(document, indent=1))


def versions() -> dict[str, str]:
    """Versions that matter: uvloop up to 0.22 joins the writes of one loop iteration, 0.23 does not."""
    names = (
        *("trio", "hypercorn", "quart", "fastapi", "uvicorn", "uvloop", "websockets", "picows"),
        "redis",
    )
    installed = {distribution.name.lower() for distribution in metadata.distributions()}
    found = {name: metadata.version(name) for name in names if name in installed}
    return found | peers.versions()


def _spread(values: list[float], unit: str = "") -> str:
    if not values:
        return "-"
    middle = f"{_short(statistics.median(values))}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
