"""What the pass refuses before it trains; the training is tested in tests/training."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from core.calibration.services import NoServices
from core.passes.base import Report
from core.passes.fine_tune import FineTune
from tests.builders import Images, graph, refused

TEXT = "(float[N,6] x) => (float[N,4] y) { y = MatMul (x, w) }"
find = importlib.util.find_spec


@pytest.fixture
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without PyTorch."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )


@pytest.fixture
def _extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that has PyTorch, as far as the question goes."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: object())


@pytest.mark.usefixtures("_plain")
def test_without_pytorch_it_says_how_to_get_it():
    net = graph(TEXT, w=(6, 4))
    reason = refused(net, FineTune(), Images(net))
    assert "not installed" in reason
    assert "pip install -r requirements/torch.txt" in reason


@pytest.mark.usefixtures("_extra")
def test_without_images_it_says_so():
    assert "calibration images" in refused(graph(TEXT, w=(6, 4)), FineTune(), NoServices())


@pytest.mark.usefixtures("_extra")
@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("(float[N,6] x) => (float[N,6] y) { y = Relu (x) }", {}),
        (
            "(float16[N,6] x) => (float16[N,4] y) { y = MatMul (x, w) }",
            {"w": np.ones((6, 4), np.float16)},
        ),
    ],
)
def test_without_float32_weights_there_is_nothing_to_train(text, weights):
    net = graph(text, **weights)
    assert "no layer with float32 weights" in refused(net, FineTune(), Images(net))


def test_sizes_and_counts_stay_which_a_preview_knows():
    net = graph(TEXT, w=(6, 4))
    assert FineTune().preview(net, Report())


def test_the_time_that_the_user_gives_is_granted():
    assert FineTune(minutes=10.0).cpu_s() >= 600
    assert FineTune(minutes=20.0).cpu_s() == pytest.approx(2 * FineTune(minutes=10.0).cpu_s())
