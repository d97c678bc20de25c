"""Prometheus' text format, written directly: a scrape must not hold up candles.

prometheus-client takes three times as long, and 16 ms of our start to import;
tests/smarttrade/web/metrics/ reads what is written here with its parser.

Source: prometheus.io/docs/instrumenting/exposition_formats, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from ...telemetry.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """One scrape's answer in the making."""

    def __init__(
        self, prefix: str, descriptions: Mapping[str, str], gauges: AbstractSet[str]
    ) -> None:
        """`descriptions` has every name; those that are not in `gauges` are counters."""
        self._prefix = prefix
        self._descriptions = descriptions
        self._gauges = gauges
        self._lines: list[str] = []

    def add(self, name: str, value: float) -> None:
        self.add_all(name, [("", value)])

    def add_all(self, name: str, samples: Iterable[tuple[str, float]]) -> None:
        """One sample for each set of labels, which `labels` made."""
        self.add_formatted(name, [self.sample(name, found, value) for found, value in samples])

    def add_formatted(self, name: str, samples: Iterable[str]) -> None:
        """The same of samples that `sample` has formatted before."""
        self._begin(self._full(name), name, "gauge" if name in self._gauges else "counter")
        self._lines += samples

    def sample(self, name: str, found: str, value: float) -> str:
        return f"{self._full(name)}{found} {_number(value)}"

    def histogram(self, name: str, histogram: Histogram) -> None:
        full = self._prefix + name
        self._begin(full, name, "histogram")
        count = 0
        for bound, count in histogram.cumulative():
            self._lines.append(f'{full}_bucket{{le="{_number(bound)}"}} {count}')
        self._lines += [f"{full}_sum {_number(histogram.sum)}", f"{full}_count {count}"]

    def text(self) -> str:
        return "\n".join((*self._lines, ""))

    def _full(self, name: str) -> str:
        return self._prefix + name + ("" if name in self._gauges else "_total")

    def _begin(self, full: str, name: str, kind: str) -> None:
        text = self._descriptions[name].replace("\\", r"\\").replace("\n", r"\n")
        self._lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]


def labels(named: Mapping[str, str]) -> str:
    """Labels as a sample has them, escaped; nothing if there are none."""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in named.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(value)
