"""Prometheus' text format, written directly: a scrape must not hold up candles.

prometheus-client takes three times as long, and 16 ms of our start to import;
tests/smarttrade/web/metrics/ reads what is written here with its parser.

Source: prometheus.io/docs/instrumenting/exposition_formats, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from ...telemetry.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Kind(Enum):
    COUNTER = "counter"
    """Only grows, until the process ends; its name ends in `_total`."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Exposition:
    """One scrape's answer in the making."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lines: list[str] = []

    def counter(self, name: str, meaning: str, value: float) -> None:
        self._family(f"{name}_total", Kind.COUNTER, meaning, [("", value)])

    def gauge(self, name: str, meaning: str, value: float) -> None:
        self._family(name, Kind.GAUGE, meaning, [("", value)])

    def gauges(self, name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> None:
        """One sample for each set of labels, which `labels` made."""
        self._family(name, Kind.GAUGE, meaning, samples)

    def formatted_gauges(self, name: str, meaning: str, samples: Iterable[str]) -> None:
        """The same of samples that `sample` has formatted before."""
        self._begin(name, Kind.GAUGE, meaning)
        self._lines += samples

    def sample(self, name: str, found: str, value: float) -> str:
        """One line of a family, for `formatted_gauges`."""
        return f"{self._prefix}{name}{found} {_number(value)}"

    def counters(self, name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> None:
        self._family(f"{name}_total", Kind.COUNTER, meaning, samples)

    def histogram(self, name: str, meaning: str, histogram: Histogram) -> None:
        full = self._begin(name, Kind.HISTOGRAM, meaning)
        count = 0
        for bound, count in histogram.cumulative():
            self._lines.append(f'{full}_bucket{{le="{_number(bound)}"}} {count}')
        self._lines += [f"{full}_sum {_number(histogram.sum)}", f"{full}_count {count}"]

    def text(self) -> str:
        return "\n".join((*self._lines, ""))

    def _family(
        self, name: str, kind: Kind, meaning: str, samples: Iterable[tuple[str, float]]
    ) -> None:
        full = self._begin(name, kind, meaning)
        self._lines += [f"{full}{found} {_number(value)}" for found, value in samples]

    def _begin(self, name: str, kind: Kind, meaning: str) -> str:
        full = self._prefix + name
        text = meaning.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind.value}"]
        return full


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
