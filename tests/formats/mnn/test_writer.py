"""The MNN exporter: float files by MNN's converter, integer layers refused before it sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.backends.mnn import BACKEND
from core.errors import BackendUnavailable, ConversionFailed, InferenceFailed
from core.formats.base.artifacts import Artifacts
from core.formats.mnn import FORMAT
from core.formats.mnn.writer import MnnWriter
from core.graph import save
from core.records import RunOptions
from tests.builders import graph


def net(folder: Path) -> Path:
    made = graph(
        """(float[N,3,8,8] x) => (float[N,4,6,6] y, float[N,3,8,8] z) {
            y = Conv (x, w) z = Sigmoid (x) }""",
        w=(4, 3, 3, 3),
    )
    save(made, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.fixture
def _here() -> None:
    try:
        BACKEND.version()
    except BackendUnavailable as error:
        pytest.skip(f"{error.message} {error.remedy}")


@pytest.mark.backend
@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("variant", "bound"), [("", 1e-5), ("fp16", 2e-3), ("int8", 2e-2)])
def test_what_was_written_answers_as_onnx_runtime_does(variant: str, bound: float, tmp_path: Path):
    import onnxruntime as ort

    model = net(tmp_path)
    form = f"mnn.{variant}" if variant else "mnn"
    artifact = Artifacts(tmp_path / "artifacts").of_file(model, form)
    session = BACKEND.load(artifact.path, RunOptions(1))
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    wanted = ort.InferenceSession(str(model)).run(None, {"x": x})
    for name, value in zip(("y", "z"), wanted, strict=True):
        np.testing.assert_allclose(session.run({"x": x})[name], value, atol=bound)


@pytest.mark.backend
@pytest.mark.usefixtures("_here")
def test_what_is_no_file_of_mnn_is_told(tmp_path: Path):
    (tmp_path / "model.mnn").write_bytes(b"no model" * 9)
    with pytest.raises(InferenceFailed, match="MNN could not load it"):
        BACKEND.load(tmp_path / "model.mnn", RunOptions(1))


def test_integer_layers_are_refused_by_name(tmp_path: Path):
    made = graph(
        "(float[N,3] x) => (float[N,3] y) { [step] q = QuantizeLinear (x, s) "
        "y = DequantizeLinear (q, s) }",
        s=0.1,
    )
    save(made, tmp_path / "net.onnx")
    with pytest.raises(ConversionFailed, match="no QuantizeLinear: step"):
        MnnWriter().export(tmp_path / "net.onnx", "", tmp_path)


def test_every_variant_but_the_plain_one_has_an_argument_and_a_note():
    assert {*FORMAT.variants} - {""} == FORMAT.half
