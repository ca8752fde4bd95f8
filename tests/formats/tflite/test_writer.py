"""Whole models as TFLite: what is refused is told at once, what is written is small and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.backends.litert import BACKEND
from core.errors import ConversionFailed, InvalidModel
from core.formats.base.artifacts import Artifacts
from core.formats.tflite import flatbuffer, writer
from core.formats.tflite.writer import TfliteWriter
from core.records import RunOptions, TensorSpec
from tests.builders import feeds, graph, norm
from tests.formats.tflite.answers import operators, same
from tests.measure.subjects import net

pytestmark = pytest.mark.backend
SAMPLES = Path(__file__).parents[3] / "sample_models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    graphs.save(net(64), path)
    return path


def resnet(blocks: int = 4) -> graphs.Graph:
    lines = ["t0 = Conv <pads=[1,1,1,1]> (x, stem)"]
    for i in range(blocks):
        lines += [
            f"a{i} = Conv <pads=[1,1,1,1]> (t{i}, k{i})", f"b{i} = Relu (a{i})",
            f"c{i} = Conv <pads=[1,1,1,1]> (b{i}, l{i})", f"d{i} = Add (c{i}, t{i})",
            f"t{i + 1} = Relu (d{i})",
        ]  # fmt: skip
    lines += [f"p = GlobalAveragePool (t{blocks})", "f = Flatten (p)", "y = Gemm (f, w, b)"]
    kernels = {f"{k}{i}": (8, 8, 3, 3) for i in range(blocks) for k in "kl"}
    body = "\n".join(lines)
    return graph(
        f"(float[1,3,16,16] x) => (float[1,5] y) {{ {body} }}",
        stem=(8, 3, 3, 3), w=(8, 5), b=(5,), **kernels,
    )  # fmt: skip


def test_a_residual_net_is_transposed_at_its_input_only():
    found = operators(same(resnet()))
    assert found["TRANSPOSE"] == 1
    assert found["RELU"] == 0
    assert found["ADD"] == 4


@pytest.mark.parametrize("name", ["plain", "plain_bn", "resnet", "mobile"])
def test_the_sample_models(name: str):
    made = graphs.load(SAMPLES / f"{name}.onnx")
    graphs.freeze(made, dict.fromkeys(graphs.dynamic_dims(made), 1))
    same(made)


def test_every_operator_in_the_way_is_told(tmp_path: Path):
    made = graph(
        """(float[1,4] x) => (float[1,4] y) { a = Acosh (x) b = Relu (a) c = Atanh (b)
        d = unknown.Magic (c) y = Add (d, a) }""",
        domains='"unknown" : 1',
    )
    for node in made.graph:
        node.name = f"node_{node.op_type}"
    with pytest.raises(ConversionFailed) as raised:
        writer.written(made)
    words = raised.value.message
    assert words.startswith("3 operators cannot be written")
    for name in ("Acosh 'node_Acosh'", "Atanh 'node_Atanh'", "unknown.Magic 'node_Magic'"):
        assert name in words
    assert "Relu" not in words


def test_what_follows_from_an_unknown_size_is_not_told_again():
    made = graph(
        """(float[4] x, float[4] z) => (float[M] y) { i = NonZero (x) s = Squeeze (i)
        g = Gather (z, s) y = Relu (g) }"""
    )
    with pytest.raises(ConversionFailed, match="1 operator cannot") as raised:
        writer.written(made)
    assert "NonZero" in raised.value.message


def test_several_inputs_and_outputs_keep_names_and_order():
    made = graph(
        """(float[1,3,4,4] image, int64[2] extra, bool[2] flag)
        => (float[1,3,4,4] same, float[1,2,4,4] out, int64[2] extra2, bool[2] no) {
        same = Identity (image) out = Conv (image, k)
        extra2 = Add (extra, extra) no = Not (flag) }""",
        k=(2, 3, 1, 1),
    )  # fmt: skip
    same(made)


def test_one_value_may_be_two_outputs():
    made = graph(
        """(float[2,3] x) => (float[2,3] y, float[2,3] z) { y = Relu (x) z = Identity (y) }"""
    )
    same(made)


def test_half_precision_keeps_its_type_and_is_computed_in_float():
    made = graph(
        """(float16[1,3,8,8] x) => (float16[1,16,8,8] y)
        { a = Conv <pads=[1,1,1,1]> (x, k) y = Relu (a) }""",
        k=(np.random.default_rng(0).normal(size=(16, 3, 3, 3)) / 5).astype(np.float16),
    )  # fmt: skip
    written = same(made, 2e-3)
    assert any(t.kind == "float16" and t.data is not None for t in written.file.tensors)


def test_shapes_that_are_worked_out_in_the_model_are_folded():
    made = graph(
        """(float[2,3,4,4] x) => (float[2,A] y) { s = Shape (x) n = Gather (s, zero)
        u = Unsqueeze (n, axes) t = Concat <axis=0> (u, rest) y = Reshape (x, t) }""",
        zero=np.array(0), axes=np.array([0]), rest=np.array([-1]),
    )  # fmt: skip
    assert operators(same(made)) == {"RESHAPE": 1}


@pytest.mark.parametrize(("variant", "allowed", "share"), [("fp16", 1e-2, 0.6)])
def test_variants_store_weights_in_fewer_bits(
    tmp_path: Path, variant: str, allowed: float, share: float
):
    model, kept = tmp_path / "net.onnx", Artifacts(tmp_path / "kept")
    graphs.save(net(512), model)
    whole, small = kept.of("d", model, "tflite"), kept.of("d", model, f"tflite.{variant}")
    assert small.size_bytes < share * whole.size_bytes
    assert any("computed with in float" in note for note in small.report)
    frozen = graphs.load(model)
    graphs.freeze(frozen, dict.fromkeys(graphs.dynamic_dims(frozen), 1))
    given = feeds(frozen)
    wanted, got = (BACKEND.load(a.path, RunOptions(1)).run(given) for a in (whole, small))
    for name, value in wanted.items():
        off = float(np.abs(got[name] - value).max()) / float(np.abs(value).max())
        assert 0 < off < allowed


def test_an_output_that_is_known_before_may_lie_in_the_file_in_16_bits():
    """Anchors of a detector: XNNPACK gives out no tensor that it widens before the model runs."""
    made = graph(
        "(float[2,3] x) => (float[2,3] y, float[20,40] z) { y = Relu (x) z = Identity (a) }",
        a=(20, 40),
    )
    same(made, allowed=1e-3, variant="fp16")


def test_one_file_for_each_size_that_is_measured(model: Path, tmp_path: Path):
    kept = Artifacts(tmp_path / "kept")
    made = [
        kept.of("d", model, "tflite", inputs=[TensorSpec("image", "float32", (batch, 3, 8, 8))])
        for batch in ("N", 1, 2)
    ]
    assert len({artifact.digest for artifact in made[1:]}) == 2
    assert made[0].digest == made[1].digest  # a free batch is one image
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    assert BACKEND.load(made[2].path, RunOptions(1)).run({"image": x})["scores"].shape[0] == 2


def test_sizes_that_nobody_stated_are_asked_for(tmp_path: Path):
    path = tmp_path / "open.onnx"
    graphs.save(graph("(float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu (x) }"), path)
    with pytest.raises(ConversionFailed, match="leaves H, W open"):
        Artifacts(tmp_path / "kept").of("d", path, "tflite")


def test_no_path_of_this_machine_goes_along(model: Path, tmp_path: Path):
    made = Artifacts(tmp_path / "kept").of("d", model, "tflite")
    assert str(tmp_path).encode() not in made.path.read_bytes()


def test_what_is_too_large_for_a_flatbuffer_is_refused_beforehand(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "LARGEST_MODEL", 100)
    with pytest.raises(ConversionFailed, match="less than 2 GiB"):
        TfliteWriter().export(model, "", tmp_path)
    assert not (tmp_path / "model.tflite").exists()


def test_what_becomes_too_large_is_refused_before_it_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flatbuffer, "LARGEST", 100)
    frozen = graphs.load(model)
    graphs.freeze(frozen, {"N": 1})
    graphs.save(frozen, model)
    with pytest.raises(ConversionFailed, match="less than 2 GiB"):
        TfliteWriter().export(model, "", tmp_path)
    assert not (tmp_path / "model.tflite").exists()


def test_a_file_that_litert_does_not_take_is_no_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "net.onnx"
    graphs.save(resnet(1), path)
    monkeypatch.setattr(flatbuffer, "IDENTIFIER", b"NONE")
    with pytest.raises(ConversionFailed, match="does not take what was written"):
        TfliteWriter().export(path, "", tmp_path)
    assert not (tmp_path / "model.tflite").exists()


def test_what_is_no_model_is_said(tmp_path: Path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(InvalidModel):
        TfliteWriter().export(path, "", tmp_path)


def test_weights_that_are_shared_are_stored_once():
    made = graph(
        """(float[1,8,8,8] x) => (float[1,8,8,8] y) { a = Conv <pads=[1,1,1,1]> (x, k)
        y = Conv <pads=[1,1,1,1]> (a, k) }""",
        k=(8, 8, 3, 3),
    )  # fmt: skip
    written = same(made)
    large = [t for t in written.file.tensors if t.data is not None and t.data.size > 256]
    assert len(large) == 1


def test_constants_are_aligned_for_kernels_that_read_them_in_place(tmp_path: Path):
    made = graph("(float[1,64] x) => (float[1,65] y) { y = Gemm (x, w, b) }", w=(64, 65), b=(65,))
    weight = made.graph.initializers["w"].const_value.numpy().T.tobytes()
    graphs.save(made, tmp_path / "net.onnx")
    TfliteWriter().export(tmp_path / "net.onnx", "", tmp_path)
    place = (tmp_path / "model.tflite").read_bytes().index(weight)
    assert place % flatbuffer.ALIGNMENT == 0


def test_a_norm_in_every_layer_stays_in_one_part_of_xnnpack(tmp_path: Path):
    made = graph(
        """(float[1,3,8,8] x) => (float[1,4] y) {
        a = Conv (x, k) b = BatchNormalization (a, s, t, m, v) c = Relu (b)
        p = GlobalAveragePool (c) y = Flatten (p) }""",
        k=(4, 3, 3, 3), **norm(4),
    )  # fmt: skip
    graphs.save(made, tmp_path / "net.onnx")
    TfliteWriter().export(tmp_path / "net.onnx", "", tmp_path)
    session = BACKEND.load(tmp_path / "model.tflite", RunOptions(1))
    assert session.settings["XNNPACK"] == "one part"
    assert session.settings["left to LiteRT"] == "nothing"
