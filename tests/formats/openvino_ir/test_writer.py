"""What OpenVINO reads from the IR is what the ONNX file says; int8 weights stay int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.backends.base import catalogue
from core.errors import ConversionFailed
from core.formats.base.artifacts import Artifacts, copy, pack
from core.formats.openvino_ir.writer import OpenVinoWriter
from core.records import RunOptions
from tests.builders import graph
from tests.measure.subjects import net

pytestmark = pytest.mark.backend
FEEDS = {"image": np.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)}


def outputs(backend: str, file: Path) -> np.ndarray:
    session = catalogue()[backend].load(file, RunOptions(1))
    found = session.run(FEEDS)["scores"]
    session.close()
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    graphs.save(net(64), path)
    return path


@pytest.mark.parametrize(("form", "allowed"), [("openvino_ir", 1e-5), ("openvino_ir.fp16", 1e-2)])
def test_the_ir_answers_as_the_onnx_file(model: Path, tmp_path: Path, form: str, allowed: float):
    made = Artifacts(tmp_path / "kept").of("d", model, form)
    assert [file.name for file in made.files] == ["model.xml", "model.bin"]
    wanted = outputs("onnxruntime", model)
    np.testing.assert_allclose(outputs("openvino", made.path), wanted, rtol=allowed, atol=allowed)


def test_only_the_variant_stores_halves(model: Path, tmp_path: Path):
    kept = Artifacts(tmp_path / "kept")
    whole, half = (kept.of("d", model, f"openvino_ir{v}").files[1] for v in ("", ".fp16"))
    weights = sum(
        value.const_value.nbytes for value in graphs.load(model).graph.initializers.values()
    )
    assert whole.stat().st_size >= weights
    assert half.stat().st_size < 0.6 * weights


def test_no_path_of_this_machine_goes_along(model: Path, tmp_path: Path):
    made = Artifacts(tmp_path / "kept").of("d", model, "openvino_ir")
    assert str(tmp_path) not in made.path.read_text()


def test_integer_weights_stay_integers(tmp_path: Path):
    path, rng = tmp_path / "q.onnx", np.random.default_rng(0)
    weight = rng.integers(-127, 128, (64, 192)).astype(np.int8)
    made = graph(
        """(float[N,3,8,8] image) => (float[N,64] scores) {
            f = Flatten (image)
            q = QuantizeLinear (f, s, z) d = DequantizeLinear (q, s, z)
            w = DequantizeLinear <axis=0> (weight, scales, zeros)
            scores = Gemm <transB=1> (d, w, b)
        }""",
        s=np.float32(0.01), z=np.uint8(128), weight=weight,
        scales=np.full(64, 0.01, np.float32), zeros=np.zeros(64, np.int8), b=(64,),
    )  # fmt: skip
    graphs.save(made, path)
    found = Artifacts(tmp_path / "kept").of("d", path, "openvino_ir")
    assert found.files[1].stat().st_size < 2 * weight.nbytes
    wanted = outputs("onnxruntime", path)
    got = outputs("openvino", found.path)
    assert np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)) < 0.05


def test_what_openvino_does_not_know_is_said_with_its_name(tmp_path: Path):
    text = '<ir_version: 8, opset_import: ["" : 17, "else" : 1]> g (float[2] x) => (float[2] y)'
    made = onnx.parser.parse_model(f"{text} {{ y = else.Unheard (x) }}")
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ConversionFailed, match="Unheard"):
        OpenVinoWriter().export(path, "", tmp_path)


def test_files_are_taken_along_under_one_name(model: Path, tmp_path: Path):
    made = Artifacts(tmp_path / "kept").of("d", model, "openvino_ir")
    written = copy(made, tmp_path / "out.xml")
    assert [path.name for path in written] == ["out.xml", "out.bin"]
    assert np.isfinite(outputs("openvino", written[0])).all()
    pack(made, tmp_path / "zips" / "out.zip")
    assert [p.name for p in (tmp_path / "zips").iterdir()] == ["out.zip"]
