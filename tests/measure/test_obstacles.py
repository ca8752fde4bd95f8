"""Obstacles: nodes that a message names, and those that fail when they are asked about alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.formats.base.artifacts import Artifacts
from core.measure import obstacles
from core.measure.obstacles import alone, named
from core.pipeline import single_nodes
from tests.builders import feeds, graph

NODES = (("conv_1", "Conv"), ("conv_10", "Conv"), ("split", "SplitToSequence"), ("if", "If"))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Could not find an implementation for Conv(11) node with name 'conv_1'", ["conv_1"]),
        ('Can\'t create layer "onnx_node!conv_10" of type "Conv"', ["conv_10"]),
        ("No conversion rule found for operations: SplitToSequence, SequenceAt", ["split"]),
        ("2 operators cannot be written: Conv 'conv_1', 'conv_10': no.", ["conv_1", "conv_10"]),
        ("If only it said so", []),
        ("[Conv@ai.onnx] parse error", ["conv_1", "conv_10"]),
    ],
)
def test_what_a_message_names(message: str, found: list[str]):
    assert [one.node for one in named(message, NODES)] == found


def test_the_node_that_fails_alone_and_all_that_are_like_it(tmp_path: Path):
    net = graph(
        "(float[2,6] x, bool[2,6] m) => (float[2,6] y) { a = Relu (x) b = BitShifted (a) "
        "c = BitShifted (b) y = Neg (c) }".replace("BitShifted", "Celu"),
    )
    singles = single_nodes.write(net, feeds(net), tmp_path)
    assert [single.operator for single in singles.apart] == ["Relu", "Celu", "Neg"]
    assert len(singles.apart[1].nodes) == 2
    spoiled = dict.fromkeys(["0_0"], np.zeros((2, 6), np.float32))
    np.savez(singles.apart[1].answers, **spoiled)  # as if the whole model had given something else
    artifacts = Artifacts(tmp_path / "artifacts")
    found = alone(singles, "onnxruntime", artifacts, lambda: False)
    assert [one.node for one in found] == list(singles.apart[1].nodes)
    assert all(one.alone and "differs" in one.reason for one in found)
    assert alone(singles, "nonsense", artifacts, lambda: False) == ()


def test_after_a_while_what_was_found_is_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    net = graph("(float[2,6] x) => (float[2,6] y) { a = Relu (x) b = Celu (a) y = Neg (b) }")
    singles = single_nodes.write(net, feeds(net), tmp_path)
    for single in singles.apart:
        np.savez(single.answers, **{"0_0": np.full((2, 6), 9, np.float32)})
    failure = obstacles._failure

    def slow(*args: object) -> str | None:
        found = failure(*args)
        now.append(now[-1] + 40.0)
        return found

    now = [0.0]
    monkeypatch.setattr(obstacles, "_failure", slow)
    monkeypatch.setattr(obstacles, "time", SimpleNamespace(monotonic=lambda: now[-1]))
    found = alone(singles, "onnxruntime", Artifacts(tmp_path / "artifacts"), lambda: False)
    assert [one.operator for one in found] == ["Relu", "Celu"]
