"""A model with open dimensions is run at the size that is stated, and at no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data import model_at
from core.errors import DataError
from core.measure import Setting, Source, sizes
from core.records import Status
from core.worker.client import Worker
from tests.builders import graph
from tests.measure.subjects import admitted

# It answers with the shape of what goes in.
SHAPE = "(float[N,3,H,W] x) => (int64[4] y) { y = Shape (x) }"


def answered(model, source: Source, folder: Path) -> list[int]:
    with Worker(model, lambda: False) as worker:
        worker.prepare(model, source, 1)
        worker.load("a", model, Setting.of("onnxruntime"))
        worker.run("a", folder / "out.npz")
    with np.load(folder / "out.npz") as arrays:
        return arrays["0_0"].tolist()


@pytest.mark.backend
@pytest.mark.parametrize("data", ["made up", "images"])
def test_inputs_have_the_stated_size(tmp_path: Path, data: str):
    model = model_at(admitted(graph(SHAPE), tmp_path), {"H": 12, "W": 20})
    source = Source()
    if data == "images":
        np.savez(tmp_path / "set.npz", images=np.zeros((2, 5, 7, 3), np.uint8))
        source = Source(tmp_path / "set.npz", "d")
    assert answered(model, source, tmp_path) == [1, 3, 12, 20]


def test_without_a_size_no_input_is_made_up(tmp_path: Path):
    model = admitted(graph(SHAPE), tmp_path)
    with Worker(model, lambda: False) as worker, pytest.raises(DataError, match="H, W"):
        worker.prepare(model, Source(), 1)


def test_macs_that_nobody_knows_are_no_number(tmp_path: Path):
    net = graph("(float[N,3,H,W] x) => (float[N,4,h,w] y) { y = Conv (x, k) }", k=(4, 3, 3, 3))
    rows = {row.metric: row for row in sizes(admitted(net, tmp_path))}
    assert (rows["macs"].value, rows["macs"].status) == (None, Status.UNAVAILABLE)
    assert rows["macs"].reason == "unknown: open shape"
    assert rows["parameters"].value == 4 * 27
