"""A whole model written for ncnn: its three files, and every reason at once where it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConversionFailed, InferenceFailed
from core.formats.base.artifacts import Artifacts
from core.formats.ncnn.writer import NcnnWriter
from tests.builders import feeds, graph
from tests.formats.ncnn.held import held, layers, run, written

pytestmark = pytest.mark.backend
NET = """(float[N,3,8,8] x) => (float[N,?] y) {
    a = Conv (x, w) b = Relu (a) f = Flatten (b) y = Gemm (f, g) }"""
WEIGHTS = {"w": (4, 3, 3, 3), "g": (144, 5)}


def refused(folder: Path, text: str, opset: int = 17, **weights: object) -> str:
    with pytest.raises(ConversionFailed) as raised:
        written(folder, text, opset, **weights)
    return raised.value.message


# Files


def test_it_writes_layers_weights_and_what_goes_in_and_comes_out(tmp_path: Path):
    text = held(tmp_path, NET, **WEIGHTS)
    assert layers(text) == ["Input", "Convolution", "Reshape", "InnerProduct"]
    said = json.loads((tmp_path / "model.json").read_text())
    assert said["inputs"] == [
        {"name": "x", "blob": "x", "blob_shape": [3, 8, 8], "shape": [1, 3, 8, 8],
         "type": "float32", "batch": True}
    ]  # fmt: skip
    assert [(end["name"], end["shape"], end["batch"]) for end in said["outputs"]] == [
        ("y", [1, 5], True)
    ]


def test_an_artifact_is_the_graph_with_its_weights_and_its_interface(tmp_path: Path):
    written(tmp_path, NET, **WEIGHTS)
    made = Artifacts(tmp_path / "kept").of("digest", tmp_path / "net.onnx", "ncnn")
    assert [file.name for file in made.files] == ["model.param", "model.bin", "model.json"]
    assert (made.exporter, made.exporter_version) == (NcnnWriter.name, NcnnWriter().version())
    assert not any(str(tmp_path) in file.read_text("latin-1") for file in made.files)


def test_halves_take_half_the_room_and_say_so(tmp_path: Path):
    sizes = []
    for variant in ("", "fp16"):
        folder = tmp_path / (variant or "whole")
        folder.mkdir()
        path = written(folder, NET, variant=variant, **WEIGHTS)
        sizes.append((folder / "model.bin").stat().st_size)
        notes = NcnnWriter().export(path, variant, folder)
        assert [note for note in notes if "16 bits" in note] == list(notes)[: bool(variant)]
    assert sizes[1] < 0.55 * sizes[0]


def test_halves_answer_nearly_as_whole_numbers_do(tmp_path: Path):
    held(tmp_path, NET, error=2e-2, variant="fp16", **WEIGHTS)


# Inputs and outputs


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path):
    held(tmp_path, """(float[N,4] x, float[N,4] z) => (float[N,4] y, float[N,4] v, float[N,4] s) {
        y = Add (x, z) v = Relu (y) s = Identity (x) }""")  # fmt: skip


def test_an_output_may_be_an_input_a_constant_or_read_again(tmp_path: Path):
    held(tmp_path, """(float[N,4] x) => (float[N,4] y, float[N,4] z, float[3] c) {
        y = Identity (x) z = Relu (x) c = Identity (k) }""", k=np.float32([1, 2, 3]))  # fmt: skip


def test_images_come_channels_last_and_as_bytes(tmp_path: Path):
    held(tmp_path, """(uint8[N,8,8,3] x) => (float[N,?,?,?] y) { a = Cast <to=1> (x)
        b = Transpose <perm=[0,3,1,2]> (a) c = Conv (b, w) y = Transpose <perm=[0,2,3,1]> (c) }""",
        w=(4, 3, 3, 3))  # fmt: skip


def test_images_of_a_batch_run_one_by_one(tmp_path: Path):
    written(tmp_path, NET, **WEIGHTS)
    random = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    whole = run(tmp_path, {"x": random})["y"]
    single = np.concatenate([run(tmp_path, {"x": random[i : i + 1]})["y"] for i in range(5)])
    np.testing.assert_array_equal(whole, single)


def test_feeds_of_another_size_are_refused(tmp_path: Path):
    written(tmp_path, NET, **WEIGHTS)
    with pytest.raises(InferenceFailed, match="the file takes"):
        run(tmp_path, {"x": np.zeros((1, 3, 9, 8), np.float32)})
    with pytest.raises(InferenceFailed, match="no input 'x'"):
        run(tmp_path, {"z": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize("file", ["model.param", "model.bin", "model.json"])
def test_files_that_are_cut_off_are_an_error(tmp_path: Path, file: str):
    path = written(tmp_path, NET, **WEIGHTS)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(InferenceFailed, match="ncnn"):
        run(tmp_path, feeds(graph(NET, **WEIGHTS)))
    assert path.exists()


# Refusals


def test_every_operator_in_the_way_is_named_with_its_reason(tmp_path: Path):
    found = refused(
        tmp_path,
        """(float[N,4,9,9] x, float[4,4,3,3] w) => (float[N,?,?,?] y, float[N,?] a) {
        a = Det (x) b = Relu (x)
        c = Conv (b, w) y = Hardmax <axis=1> (c) }""",
    )
    assert found.startswith("3 operators cannot be written for ncnn: ")
    for part in ("Det ", "Hardmax ", "no layer for it", "Conv ", "its weight is computed"):
        assert part in found


def test_what_only_follows_from_another_is_not_named(tmp_path: Path):
    found = refused(
        tmp_path,
        "(float[N,4] x) => (float[?,?] y) { a = NonZero (x) b = Cast <to=1> (a) y = Relu (b) }",
    )
    assert "NonZero" in found
    assert "Relu" not in found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = ReduceMean <axes=[0]> (x)", "mixes the images"),
        ("y = Softmax <axis=0> (x)", "along the batch"),
        ("t = Transpose (x) y = MatMul (x, t)", "multiplies the images"),
        ("y = Reshape (x, s)", "reshapes across the images"),
    ],
)
def test_what_mixes_the_images_of_a_batch_is_refused(body: str, reason: str, tmp_path: Path):
    weights = {"s": np.int64([2, -1])} if "(x, s)" in body else {}
    text = f"(float[N,4] x) => (float[?,?] y) {{ {body} }}"
    assert reason in refused(tmp_path, text, **weights)


PARTS: dict[str, tuple[str, dict[str, object]]] = {
    "turned around": ("y = Slice (x, a, e, z, a)", {
        "a": np.int64([-1]), "e": np.int64([-(2**31)]), "z": np.int64([0])}),
    "from the second last on": ("y = Slice (x, a, e, z)", {
        "a": np.int64([-2]), "e": np.int64([2**31]), "z": np.int64([0])}),
    "the first five": ("y = Slice (x, a, e)", {"a": np.int64([0, 0]), "e": np.int64([5, 4])}),
    "padded": ("y = Pad (x, p)", {"p": np.int64([1, 0, 0, 0])}),
    "moved by a pad": ("y = Pad (x, p)", {"p": np.int64([1, 0, -1, 0])}),
    "padded on its axis": ('y = Pad <mode="edge"> (x, p, , z)', {
        "p": np.int64([0, 1]), "z": np.int64([-2])}),
    "picked": ("""s = Shape (x) n = Gather (s, z) m = Sub (n, one) r = Range (m, one, one)
        y = Gather (x, r)""", {"z": np.int64(0), "one": np.int64(-1)}),
    "repeated": ("y = Tile (x, r)", {"r": np.int64([2, 1])}),
    "enlarged": ("y = Resize (x, , s)", {"s": np.float32([2, 1])}),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_what_takes_or_adds_images_of_a_batch_is_refused(name: str, tmp_path: Path):
    body, weights = PARTS[name]
    opset = 18 if "z)" in body and "Pad" in body else 17
    text = f"(float[N,4] x) => (float[?,?] y) {{ {body} }}"
    assert "images" in refused(tmp_path, text, opset, **weights)


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("y = Slice (x, a, e)", {"a": np.int64([0, 1]), "e": np.int64([2**63 - 1, 3])}),
        (
            "s = Shape (x) n = Slice (s, a, one) y = Slice (x, a, n)",
            {"a": np.int64([0]), "one": np.int64([1])},
        ),
        ("y = Pad (x, p)", {"p": np.int64([0, 1, 0, 2])}),
        ("y = Gather <axis=1> (x, i)", {"i": np.int64([2, 0])}),
    ],
)
def test_parts_of_each_image_are_taken(body: str, weights: dict[str, object], tmp_path: Path):
    held(tmp_path, f"(float[N,4] x) => (float[N,?] y) {{ {body} }}", **weights)


def test_a_shuffle_of_unknown_size_is_refused_by_name(tmp_path: Path):
    found = refused(
        tmp_path,
        """(float[1,4] x) => (float[?,?] y) { a = NonZero (x) b = Cast <to=1> (a)
        c = Reshape (b, s) t = Transpose (c) y = Reshape (t, s) }""",
        s=np.int64([-1, 2]),
    )
    assert "NonZero" in found


def test_integers_are_refused_where_they_are_computed_with(tmp_path: Path):
    found = refused(tmp_path, "(int32[N,4] x) => (int32[N,4] y) { y = Add (x, x) }")
    assert "whole numbers" in found
