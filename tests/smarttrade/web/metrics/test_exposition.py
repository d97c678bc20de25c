from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smarttrade.telemetry.histogram import DELAYS, Histogram
from smarttrade.web.metrics.exposition import Exposition, labels


def test_histogram_is_cumulative_and_a_bound_counts_what_is_equal_to_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(value)
    assert list(histogram.cumulative()) == [(0.1, 2), (1.0, 3), (math.inf, 4)]
    assert histogram.count == 4
    assert histogram.sum == pytest.approx(3.65)
    assert list(DELAYS) == sorted(DELAYS)


def test_labels_and_meanings_are_escaped() -> None:
    nasty = 'a"b\\c\nd'
    exposition = Exposition("t_", {"x": f"means {nasty}"}, {"x"})
    exposition.add_all("x", [(labels({"name": nasty}), 1.5)])
    [family] = text_string_to_metric_families(exposition.text())
    assert family.documentation == f"means {nasty}"
    [sample] = family.samples
    assert (sample.labels, sample.value) == ({"name": nasty}, 1.5)
