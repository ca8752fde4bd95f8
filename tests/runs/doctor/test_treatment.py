"""Treatment: rewrites by name, and the model that a set of them makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.pipeline.client import Workshop
from core.records import ModelSummary
from core.runs.doctor.treatment import FOLD, FREEZE, Treatment, labels, steps
from tests.builders import graph, kinds


@pytest.fixture
def model(tmp_path: Path) -> ModelSummary:
    """A batch of any size, a stepped slice, and shape arithmetic."""
    net = graph(
        """(float[N,3,8,8] x) => (float[N,A] y) {
            a = Slice (x, s, e, ax, t) h = HardSwish (a) n = Shape (h) b = Gather (n, zero)
            u = Unsqueeze (b, zeros) to = Concat <axis=0> (u, rest) y = Reshape (h, to) }""",
        s=np.array([0, 0]), e=np.array([99, 99]), ax=np.array([2, 3]), t=np.array([2, 2]),
        zero=np.array(0), zeros=np.array([0]), rest=np.array([-1]),
    )  # fmt: skip
    graphs.save(net, tmp_path / "net.onnx")
    with Workshop() as workshop:
        return workshop.admit(tmp_path / "net.onnx", "net.onnx", tmp_path / "models")


def test_the_recipe_of_some_rewrites():
    assert [step.pass_name for step in steps(["stepped_slices", FOLD, FREEZE])] == [
        "simplify",
        "adapt",
    ]
    assert steps(["split_slices", "basic_norms"])[0].params == {
        "rewrites": ("basic_norms", "split_slices")
    }
    assert steps([FREEZE]) == ()
    assert list(labels())[:2] == [FREEZE, FOLD]


def test_which_change_something_and_what_some_of_them_make(model: ModelSummary, tmp_path: Path):
    with Workshop() as workshop:
        care = Treatment(workshop, model, {"N": 1}, tmp_path / "made", lambda: None)
        found = care.effective()
        assert found == (
            FREEZE, FOLD, "basic_activations", "stepped_slices", "flattened_reshapes",
        )  # fmt: skip
        assert care.failed == {}
        assert care.of([]).digest == model.digest
        assert care.of([FREEZE]).inputs[0].shape == (1, 3, 8, 8)
        whole = graphs.load(care.of(found).path)
        assert kinds(whole) == ["MaxPool", "Mul", "Add", "Clip", "Mul", "Flatten"]
        path = care.of(found).path
        care.drop(found)
        care.drop([FREEZE])
        assert not path.exists()
        assert care.of([FREEZE]).path.exists()
        assert care.of(found).path == path  # asked for again
        assert path.exists()
        assert care.of(["split_slices"]).digest == model.digest  # nothing to rewrite
        care.drop(["split_slices"])
        assert model.path.exists()
