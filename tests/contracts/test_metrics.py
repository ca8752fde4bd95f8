"""What every metric of outputs promises: asked of the whole catalogue."""

from __future__ import annotations

import importlib
import inspect

import pytest

from core.metrics.base import OutputMetric, catalogue, definitions, ordered


@pytest.mark.parametrize("name", catalogue())
def test_every_metric_keeps_its_promises(name: str):
    metric = catalogue()[name]
    assert isinstance(metric, OutputMetric)
    assert metric.label
    assert metric.short
    assert bool(metric.phrase) == metric.relative
    assert (importlib.import_module(f"core.metrics.{name}").__doc__ or "").strip()


@pytest.mark.parametrize("name", catalogue())
def test_a_metric_explains_itself(name: str):
    metric = catalogue()[name]
    assert metric.gives
    assert metric.unit in ("%", "dB")
    assert len(set(metric.comparatives)) == 2
    assert metric.phrase.count("{}") == metric.relative
    assert metric.fewest > 0
    assert inspect.getdoc(type(metric)) != inspect.getdoc(OutputMetric)


def test_labels_tell_metrics_apart():
    for of in ("label", "short"):
        assert len({vars(type(one))[of] for one in catalogue().values()}) == len(catalogue())


def test_every_metric_has_its_rows():
    differences = {f"{name}_delta" for name, one in catalogue().items() if one.paired}
    assert set(definitions()) == {*ordered(), *differences}
