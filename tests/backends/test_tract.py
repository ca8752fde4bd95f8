"""tract: plans for the sizes that are run, one core, and the times of its nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.backends.base.onnx_nodes import origins, read
from core.backends.tract import BACKEND, rows
from core.errors import BackendUnavailable, InferenceFailed
from core.graph import save
from core.records import RunOptions
from tests.builders import graph, norm

NODES = (
    ([], 4, "OptMatMul", "relu.low.prefused", {"FMA(F32)": "8"}, 3e-3),
    ([], 1, "Pad", "conv.pad", {}, 1e-3),
    ([], 2, "OptMatMulPack", "conv.pack_b", {}, 2e-3),
    ([], 5, "DequantizeLinearF32", "step", {}, 1e-3),
    ([], 6, "OptMaxByScalar", "last.low", {}, 1e-3),
    (["body"], 0, "OptMatMul", "inside", {}, 1e-3),
)


@pytest.fixture(autouse=True)
def _here(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("backend"):
        try:
            BACKEND.version()
        except BackendUnavailable as error:
            pytest.skip(f"{error.message} {error.remedy}")


def net(size: str, folder: Path) -> Path:
    made = graph(
        f"""(float[{size}] x, float[{size}] other) => (float[N,4,P,Q] y, float[{size}] z) {{
            [conv] a = Conv (x, w) [norm] n = BatchNormalization (a, s, t, m, v)
            [relu] y = Relu (n) [last] z = Sub (x, other) }}""",
        w=(4, 3, 3, 3), **norm(4),
    )  # fmt: skip
    save(made, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.backend
def test_sizes_that_are_open_are_those_of_the_feeds(tmp_path: Path):
    session = BACKEND.load(net("N,3,H,W", tmp_path), RunOptions(1))
    for batch, side in ((1, 8), (2, 8), (1, 8), (1, 9)):
        ones = np.ones((batch, 3, side, side), np.float32)
        y, z = session.run({"other": ones, "x": 3 * ones}).values()
        assert y.shape == (batch, 4, side - 2, side - 2)
        assert (z == 2).all()


@pytest.mark.backend
def test_more_threads_than_one_are_refused(tmp_path: Path):
    with pytest.raises(BackendUnavailable, match="one core"):
        BACKEND.load(net("N,3,8,8", tmp_path), RunOptions(2))


@pytest.mark.backend
def test_an_input_of_another_name_is_told(tmp_path: Path):
    session = BACKEND.load(net("N,3,8,8", tmp_path), RunOptions(1))
    with pytest.raises(InferenceFailed, match="other"):
        session.run({"x": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.backend
def test_a_reason_is_one_line_without_a_trace(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(b"not a model")
    with pytest.raises(InferenceFailed) as raised:
        BACKEND.load(tmp_path / "net.onnx", RunOptions(1))
    assert "\n" not in raised.value.message
    assert "backtrace" not in raised.value.message


def test_nodes_have_the_names_of_the_file_and_say_what_they_are_for(tmp_path: Path):
    keys = ("qualified_id", "op_name", "node_name", "cost", "secs_per_iter")
    nodes = [dict(zip(keys, ([path, at], *rest), strict=True)) for path, at, *rest in NODES]
    nodes.append({"qualified_id": [[], 3], "op_name": "Const", "node_name": "w"})
    told = rows(nodes, origins(read(net("N,3,8,8", tmp_path))))
    assert [(row.name, row.role, row.precision) for row in told] == [
        ("conv.pad", "reorder", ""),
        ("conv.pack_b", "reorder", ""),
        ("conv", "compute", "f32"),
        ("step", "quantize", ""),
        ("last", "compute", ""),
    ]
    assert len({row.node for row in told}) == len(told)
    assert told[2].seconds == (3e-3,)
