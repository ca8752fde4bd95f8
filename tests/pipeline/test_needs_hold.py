"""A step that is told to fit does fit: real builds in a child held to what was stated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.compress.linalg import parallel
from core.compress.refit.needs import Workload
from core.devices.local import memory
from core.passes.base import Graph, build
from core.pipeline.client import Workshop
from core.records import Recipe, Step
from tests.builders import graph

COUNT, BATCH = 24, 8
AROUND = 24 << 20  # of the child itself, which is not the same twice
STEPS = {
    "prune": Step("prune_channels", {"ratio": 0.5}),
    "replace": Step("replace_convolutions", {"speedup": 1.5}),
    "int8": Step("quantize_int8"),
    "fp16": Step("convert_precision"),
    "weights": Step("prune_weights"),
}


def net() -> Graph:
    """Layers of 1152 inputs, whose sums are larger than everything else."""
    return graph(
        """(float[N,3,16,16] image) => (float[N,5] scores) {
            a = Conv <pads=[1,1,1,1]> (image, w1) b = Relu (a)
            c = Conv <pads=[1,1,1,1]> (b, w2) d = Relu (c)
            e = Conv <pads=[1,1,1,1]> (d, w3) f = Relu (e)
            g = GlobalAveragePool (f) h = Flatten (g) scores = Gemm <transB=1> (h, u, k)
        }""",
        w1=(128, 3, 3, 3), w2=(128, 128, 3, 3), w3=(64, 128, 3, 3), u=(5, 64), k=(5,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("needs")
    graphs.save(net(), made / "net.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 3), np.uint8)
    np.savez(made / "images.npz", images=pixels)
    return made


@pytest.fixture(scope="module")
def held(folder: Path) -> int:
    """What a child holds before any step."""
    with Workshop() as shop:
        summary = shop.admit(folder / "net.onnx", "net.onnx", folder / "models")
        shop.build(summary.path, Recipe("none"), None, folder / "models")
        assert shop._child is not None
        return memory.resident_bytes(str(shop._child.pid))


@pytest.fixture
def tight(folder: Path, held: int, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator:
    needs = build(STEPS[name]).needs(net(), Workload(COUNT, BATCH, parallel.count()))
    monkeypatch.setattr("core.devices.local.launch.POLL_S", 0.01)  # short peaks count as well
    monkeypatch.setenv(memory.VARIABLE, str(held + AROUND + needs.least_bytes))
    with Workshop() as shop:
        yield shop


@pytest.mark.parametrize("name", STEPS)
def test_what_is_told_to_fit_fits(tight: Workshop, folder: Path, name: str) -> None:
    summary = tight.admit(folder / "net.onnx", "net.onnx", folder / "models")
    images = tight.admit_data(folder / "images.npz", "images.npz", folder / "data")
    recipe = Recipe(name, (STEPS[name],))
    outcome = tight.build(summary.path, recipe, images.path, folder / "models")
    assert outcome.candidate is not None, outcome.reason
    assert not outcome.failed
