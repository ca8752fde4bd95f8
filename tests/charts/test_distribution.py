"""Histograms as densities: other ranges and other counts compare."""

from __future__ import annotations

import numpy as np
import pytest

from core.charts.distribution import distribution_figure, facts
from core.records import Histogram

WIDE = Histogram(-2.0, 2.0, (10, 30, 30, 10), 0.0, 0.9, 0.25, 0, 80)
NARROW = Histogram(0.0, 1.0, (1, 1), 0.5, 0.3, 0.0, 16, 4)


def test_the_area_of_each_side_is_one():
    figure = distribution_figure("Weights", WIDE, NARROW)
    assert [trace.name for trace in figure.data] == ["before", "after"]
    for trace in figure.data:
        assert np.trapezoid(trace.y, trace.x) == pytest.approx(1.0)


def test_one_side_needs_no_legend():
    assert not distribution_figure("Weights", WIDE).layout.showlegend


def test_a_layer_without_any_says_so():
    figure = distribution_figure("Weights", None, None)
    assert "has none" in figure.layout.annotations[-1].text


def test_facts_tell_what_was_counted():
    assert facts(WIDE) == (
        "−2.00 to 2.00, mean 0, standard deviation 0.900, 25 % zeros, 80 numbers"
    )
    assert facts(NARROW).endswith("16 different values, 2 of 4 numbers counted")
