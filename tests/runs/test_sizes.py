"""A run knows the size of every open dimension before it starts."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.errors import DataError, OpenShape
from core.records import ExperimentSpec, Recipe, from_json, to_json
from core.workspace import Workspace
from tests.builders import graph

OWNER = "ann"
OPEN = """(float[N,3,H,W] x) => (float[N,4] y) {
    a = Conv <pads=[1,1,1,1]> (x, w) r = Relu (a) p = GlobalAveragePool (r) y = Flatten (p)
}"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a lock of our own
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


def question(workspace: Workspace, **changes: object) -> ExperimentSpec:
    content = graphs.serialize(graph(OPEN, w=(4, 3, 3, 3)))
    model = workspace.models.add("open.onnx", content, OWNER)
    base = {"backends": ("null",), "latency_budget_s": 0.1, "recipes": ()}
    return ExperimentSpec("t", model.digest, **(base | changes))  # type: ignore[arg-type]


def shapes(run) -> set[str]:
    return {r.condition["input"] for r in run.measurements if r.metric.startswith("latency")}


@pytest.mark.parametrize("dims", [{}, {"H": 16}, {"H": 16, "W": 8, "depth": 3}])
def test_without_a_size_for_each_nothing_starts(workspace: Workspace, dims):
    spec = question(workspace, dims=dims)
    with pytest.raises(DataError) as refused:
        workspace.runs.measure(spec, OWNER)
    wrong = "depth" if len(dims) == 3 else "height and width" if not dims else "state the width"
    assert wrong in refused.value.message
    assert isinstance(refused.value, OpenShape) == (wrong != "depth")
    assert not workspace.runs.of(OWNER)


def test_it_is_measured_at_what_is_stated(workspace: Workspace):
    run = workspace.runs.measure(question(workspace, dims={"H": 16, "W": 8}), OWNER)
    assert run.spec.dims == {"H": 16, "W": 8}
    assert shapes(run) == {"1x3x16x8"}


def test_it_is_measured_at_the_size_of_the_images(workspace: Workspace):
    file = io.BytesIO()
    np.savez(file, images=np.zeros((4, 6, 10, 3), np.uint8))
    data = workspace.data.add("set.npz", file.getvalue(), OWNER)
    run = workspace.runs.measure(question(workspace, evaluation=data.digest), OWNER)
    assert run.spec.dims == {"H": 6, "W": 10}
    assert shapes(run) == {"1x3x6x10"}


def test_a_question_of_before_still_opens():
    now = ExperimentSpec("t", "m", (Recipe("original"),), ("null",))
    before = {name: value for name, value in to_json(now).items() if name != "dims"}
    assert from_json(ExperimentSpec, before) == now
