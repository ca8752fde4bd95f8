"""predict.py, run exactly as it is downloaded, answers as ONNX Runtime on our own preprocessing."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.graph import Graph
from core.package.base import catalogue
from core.package.base.literals import literal
from core.package.base.outputs import shown
from core.package.base.subject import subject_of
from core.records import Preprocess
from tests.builders import graph
from tests.package import shipped
from tests.tasks import nets

STATED = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
BODY = """p = GlobalAveragePool (r) f = Flatten (p) scores = Gemm <transB=1> (f, u, k) }"""
WEIGHTS = {"b": (8,), "u": (6, 8), "k": (6,)}


def classifier(channels: int = 3, batch: str = "N") -> Graph:
    return graph(
        f"(float[{batch},{channels},16,12] image) => (float[{batch},6] scores) {{"
        " c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w, b) r = Relu (c) " + BODY,
        w=(8, channels, 3, 3), **WEIGHTS,
    )  # fmt: skip


def channels_last() -> Graph:
    return graph(
        "(float[N,16,12,3] image) => (float[N,6] scores) { t = Transpose <perm=[0,3,1,2]> (image)"
        " c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (t, w, b) r = Relu (c) " + BODY,
        w=(8, 3, 3, 3), **WEIGHTS,
    )  # fmt: skip


def bytes_in() -> Graph:
    return graph(
        "(uint8[N,3,16,12] image) => (float[N,6] scores) { t = Cast <to=1> (image)"
        " c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (t, w, b) r = Relu (c) " + BODY,
        w=(8, 3, 3, 3), **WEIGHTS,
    )  # fmt: skip


def halves_in() -> Graph:
    return graph(
        "(float16[N,3,16,12] image) => (float[N,6] scores) { t = Cast <to=1> (image)"
        " c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (t, w, b) r = Relu (c) " + BODY,
        w=(8, 3, 3, 3), **WEIGHTS,
    )  # fmt: skip


def any_size() -> Graph:
    return graph(
        "(float[N,3,H,W] image) => (float[N,6] scores) {"
        " c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w, b) r = Relu (c) " + BODY,
        w=(8, 3, 3, 3), **WEIGHTS,
    )  # fmt: skip


CASES = {
    "stated": (classifier(), STATED),
    "guessed": (classifier(), None),
    "channels last": (channels_last(), replace(STATED, layout="NHWC")),
    "bytes": (bytes_in(), Preprocess(scale=1.0, dtype="uint8")),
    "gray": (classifier(1), Preprocess(color="gray", mean=(0.5,), std=(0.25,))),
}
MORE = {
    "scaled bytes": (bytes_in(), Preprocess(scale=0.5, mean=(7.0,), dtype="uint8")),
    "cut bytes": (bytes_in(), Preprocess(scale=0.3)),
    "raw bgr": (classifier(), Preprocess("bgr", 1.0, (104.0, 117.0, 123.0))),
    "raw": (classifier(), Preprocess(scale=1.0)),
    "cut": (classifier(), replace(STATED, resize=(20, 20), crop=(16, 12))),
    "cut and resized": (classifier(), replace(STATED, crop=(30, 40), resize_after_crop=(8, 8))),
    "cut larger": (classifier(), replace(STATED, crop=(400, 30))),
    "any size": (any_size(), replace(STATED, resize=(9, 11))),
    "size of the image": (any_size(), STATED),
    "halves": (halves_in(), STATED),
    "a batch": (classifier(3, "2"), STATED),
    "as stored": (classifier(), replace(STATED, color="as_stored")),
}


def compare(folder: Path, case: tuple[Graph, Preprocess | None], spec: str, **dims: int) -> None:
    net, how = case
    run = shipped.run_of(net, folder, spec, how, **dims)
    image = shipped.picture(folder)
    scores = shipped.expected(run, image)[0].reshape(-1, 6)[0]
    said = [line.split("  ") for line in shipped.answer(shipped.unpacked(run, folder), image)]
    assert len(said) == 5
    order = np.argsort(-scores, kind="stable")
    assert said[0][1] == f"class {order[0]}"
    given = {int(name.removeprefix("class ")): float(score) for score, name in said}
    np.testing.assert_allclose(
        [given[number] for number in given], scores[list(given)], rtol=2e-4, atol=2e-5
    )


@pytest.mark.backend
@pytest.mark.parametrize("name", catalogue())
@pytest.mark.parametrize("case", CASES)
def test_each_target_answers_as_the_reference(case: str, name: str, tmp_path: Path):
    compare(tmp_path, CASES[case], name)


@pytest.mark.backend
@pytest.mark.parametrize("case", MORE)
def test_every_preprocessing_is_written_out(case: str, tmp_path: Path):
    compare(tmp_path, MORE[case], "onnxruntime")


@pytest.mark.backend
@pytest.mark.parametrize("spec", ["openvino@openvino_ir", "openvino@openvino_ir.fp16"])
def test_a_package_holds_the_format_that_was_measured(spec: str, tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, spec, STATED)
    folder = shipped.unpacked(run, tmp_path)
    assert {"model.xml", "model.bin"} < {path.name for path in folder.iterdir()}
    assert not (folder / "model.onnx").exists()
    image = shipped.picture(tmp_path)
    first = shipped.answer(folder, image)[0].split("  ")
    wanted = shipped.expected(run, image)[0][0]
    assert first[1] == f"class {wanted.argmax()}"
    assert float(first[0]) == pytest.approx(wanted.max(), rel=1e-2)


@pytest.mark.backend
def test_names_of_classes_are_printed_and_never_run(tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, "onnxruntime", STATED, shipped.LABELS)
    folder, image = shipped.unpacked(run, tmp_path), shipped.picture(tmp_path)
    said = [line.split("  ", 1)[1] for line in shipped.answer(folder, image)]
    order = np.argsort(-shipped.expected(run, image)[0][0], kind="stable")
    plain = [" ".join(label.split()) for label in shipped.LABELS]
    assert said == [plain[number] for number in order[:5]]


@pytest.mark.backend
def test_threads_are_those_that_were_measured(tmp_path: Path):
    one = shipped.run_of(classifier(), tmp_path, "onnxruntime", STATED, threads=3)
    assert (
        "intra_op_num_threads = 3" in (shipped.unpacked(one, tmp_path) / "predict.py").read_text()
    )
    every = shipped.run_of(classifier(), tmp_path, "onnxruntime", STATED, threads=0)
    folder = shipped.unpacked(every, tmp_path)
    counted = "intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "
    assert counted in (folder / "predict.py").read_text()
    assert shipped.answer(folder, shipped.picture(tmp_path))


@pytest.mark.backend
def test_a_model_of_arrays_takes_an_npz(tmp_path: Path):
    odd = "a\"b'); import os #"
    net = graph(
        "(float[N,4,2] one, int64[N,4,2] two) => (float[N,4,2] y) { t = Cast <to=1> (two)"
        " y = Add (one, t) }"
    )
    net.graph.inputs[0].name = odd
    run = shipped.run_of(net, tmp_path, "onnxruntime")
    arrays = {odd: np.ones((3, 4, 2)), "two": np.full((3, 4, 2), 2)}
    np.savez(tmp_path / "arrays.npz", **arrays)
    (said,) = shipped.answer(shipped.unpacked(run, tmp_path), tmp_path / "arrays.npz")
    assert said == "output 0: float32 [3, 4, 2], 3 to 3, mean 3"


@pytest.mark.backend
def test_arrays_of_several_images_are_run_one_by_one_on_ncnn(tmp_path: Path):
    net = graph(
        "(float[N,3,300,400] one, float[N,3,300,400] two) => (float[N,3,300,400] y,"
        " int64[N,1,300,400] place) { y = Sub (one, two) place = ArgMax <axis=1> (y) }"
    )
    run = shipped.run_of(net, tmp_path, "ncnn")
    random = np.random.default_rng(0)
    whole = [random.integers(-99, 99, (3, 3, 300, 400)).astype(np.float32) for _ in range(2)]
    np.savez(tmp_path / "arrays.npz", one=whole[0], two=whole[1])
    found = whole[0] - whole[1]
    wanted = (found, found.argmax(axis=1, keepdims=True))
    said = shipped.answer(shipped.unpacked(run, tmp_path), tmp_path / "arrays.npz")
    assert said == [
        f"output {i}: {array.dtype} {list(array.shape)}, {array.min():.6g} to {array.max():.6g},"
        f" mean {array.mean():.6g}"
        for i, array in enumerate(wanted)
    ]


@pytest.mark.backend
def test_a_map_of_classes_is_told_in_shares(tmp_path: Path):
    images, masks = nets.regions(1)
    cv2.imwrite(str(tmp_path / "image.png"), images[0][:, :, ::-1])
    run = shipped.run_of(
        nets.segmentation(), tmp_path, "openvino", Preprocess(), ("ground", "red", "green", "blue")
    )
    said = shipped.answer(shipped.unpacked(run, tmp_path), tmp_path / "image.png")
    names, counts = np.unique(masks[0], return_counts=True)
    labels = [run.model.labels[name] for name in names]
    shares = [f"{count / masks[0].size:.2%}" for count in counts]
    assert said == [f"{share}  {label}" for share, label in zip(shares, labels, strict=True)]


@pytest.mark.backend
@pytest.mark.parametrize("resize", [None, (80, 80)])
def test_boxes_are_told_in_pixels_of_the_image(resize: tuple[int, int] | None, tmp_path: Path):
    images, found = nets.squares(1, scale=2)
    image = images[0]
    if resize:  # what lies around the centre is cut away
        image = cv2.copyMakeBorder(image, 16, 16, 16, 16, cv2.BORDER_CONSTANT)
    cv2.imwrite(str(tmp_path / "image.png"), image[:, :, ::-1])
    how = Preprocess(resize=resize, crop=(64, 64) if resize else None)
    run = shipped.run_of(nets.detector(), tmp_path, "onnxruntime", how)
    said = shipped.answer(shipped.unpacked(run, tmp_path), tmp_path / "image.png")
    given = sorted(line.split("  ")[1:] for line in said)
    margin = 16 if resize else 0
    wanted = sorted(
        [f"class {kind}", f"{left + margin:.1f} {top + margin:.1f} {side:.1f} {side:.1f}"]
        for kind, left, top, side in found[0]
    )
    assert given == wanted


@pytest.mark.backend
def test_an_image_without_anything_has_no_boxes(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((128, 128, 3), np.uint8))
    run = shipped.run_of(nets.detector(), tmp_path, "onnxruntime", Preprocess())
    assert shipped.answer(shipped.unpacked(run, tmp_path), tmp_path / "image.png") == []


def test_names_of_outputs_are_literals(tmp_path: Path):
    run = shipped.run_of(nets.detector(), tmp_path, "onnxruntime", Preprocess())
    found = subject_of(run, run.model.digest, "onnxruntime")
    odd = tuple(replace(found.outputs[0], name=name) for name in ('a"b', "\\", "boxes"))
    code = ast.parse(shown(replace(found, outputs=odd)).code)
    written = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)}
    assert {'a"b', "\\", "boxes"} < written


@pytest.mark.backend
def test_bf16_and_dynamic_int8_are_asked_for_as_measured(tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, "openvino:bf16", STATED)
    program = (shipped.unpacked(run, tmp_path) / "predict.py").read_text()
    assert '"INFERENCE_PRECISION_HINT": "bf16"' in program
    run = shipped.run_of(classifier(), tmp_path, "onnxruntime:dynamic_int8", STATED)
    program = (shipped.unpacked(run, tmp_path) / "predict.py").read_text()
    assert '"session.qdq_matmulnbits_accuracy_level", "4"' in program


@pytest.mark.parametrize("text", ["plain", "a'b", 'a"b', "both'\"", "new\nline", "🙂\\", "{x}"])
def test_a_text_is_one_literal(text: str):
    written = literal(text)
    assert written.isascii()
    assert ast.literal_eval(written) == text
