"""The nets of the benchmarks at a tiny width: valid files that compute what was traced."""

import functools
from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from benchmarks.nets import (
    BIG,
    NETS,
    convnext,
    densenet,
    efficientnet,
    mobilenet,
    pictures,
    resnet,
    shufflenet,
    unet,
    vit,
    yolo,
)
from benchmarks.nets import __main__ as writing
from benchmarks.nets.layers import conv_norm, identity
from benchmarks.nets.tracing import Tracer
from core import graph as graphs
from core.records import Preprocess

IMAGES, SIZE = 3, 64
TINY = {
    "resnet": partial(resnet.imagenet, depths=(1, 1), block=resnet.bottleneck, width=8, classes=10),
    "cifar": partial(resnet.cifar, depth=8, block=resnet.basic, width=4),
    "depthwise": partial(resnet.cifar, depth=8, block=resnet.depthwise, width=4),
    "vit": partial(vit.transformer, width=16, depth=1, heads=2, classes=10),
    "mobilenetv1": partial(mobilenet.v1, multiplier=0.25, classes=10),
    "mobilenetv3": partial(mobilenet.v3_large, multiplier=0.25, classes=10),
    "efficientnet": partial(efficientnet.b0, classes=10),
    "yolo": partial(yolo.v8, width=0.125),
    "shufflenet_v1": partial(shufflenet.v1, groups=3, width=36, classes=10),
    "shufflenet_v2": partial(shufflenet.v2, widths=(16, 32, 64), last=32, classes=10),
    "unet": partial(unet.segmenter, width=4, classes=3),
    "densenet": partial(densenet.densenet, depths=(1, 2), growth=4, classes=10),
    "convnext": partial(convnext.convnext, depths=(1, 1), widths=(8, 16), classes=10),
}


@functools.cache
def written(write, keep=False, seed=0):
    """The model and what its outputs are on the probes, by name."""
    probes = pictures.prepared(pictures.noise(IMAGES, SIZE), Preprocess())
    tracer = Tracer(probes, seed, keep)
    outputs = write(tracer)
    model = tracer.finish(outputs, "net", Preprocess(resize=(SIZE, SIZE)))
    return ir.to_proto(model), probes, {name: one.array for name, one in outputs.items()}


def computed(model, feed):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": feed}), strict=True))


@pytest.mark.backend
@pytest.mark.parametrize("family", TINY)
def test_a_net_is_valid_and_computes_what_was_traced_for_any_batch(family):
    model, probes, traced = written(TINY[family])
    onnx.checker.check_model(model, full_check=True)
    for count in (IMAGES, 1):
        got = computed(model, probes[:count])
        for name, array in traced.items():
            assert got[name].shape == (count, *array.shape[1:])
            np.testing.assert_allclose(got[name], array[:count], rtol=2e-3, atol=2e-3)
    assert all(array.std() > 0 for array in traced.values())


@pytest.mark.backend
@pytest.mark.parametrize("family", ["resnet", "yolo", "densenet"])
def test_batch_norms_as_nodes_or_folded_are_the_same_function(family):
    kept, probes, _ = written(TINY[family], keep=True)
    folded, _, traced = written(TINY[family])
    norms = [sum(n.op_type == "BatchNormalization" for n in m.graph.node) for m in (kept, folded)]
    assert norms[0] > norms[1]
    for name, array in computed(kept, probes).items():
        np.testing.assert_allclose(array, traced[name], rtol=5e-3, atol=5e-3)


@pytest.mark.backend
def test_a_batch_norm_holds_the_moments_of_its_input():
    def write(tracer):
        y = conv_norm(tracer, tracer.input, 8, 3, activation=identity)
        return {"output": y}

    model, probes, _ = written.__wrapped__(write, keep=True)
    norm = next(n for n in model.graph.node if n.op_type == "BatchNormalization")
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    model.graph.output.append(onnx.ValueInfoProto(name=norm.input[0]))
    seen = computed(model, probes)[norm.input[0]]
    np.testing.assert_allclose(weights[norm.input[3]], seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    varied = seen.var((0, 2, 3))
    floor = 0.1 * varied.mean()
    np.testing.assert_allclose(weights[norm.input[4]], np.maximum(varied, floor), rtol=1e-3)


@pytest.mark.backend
def test_a_shuffle_deals_the_channels_out_to_the_groups():
    def write(tracer):
        y = conv_norm(tracer, tracer.input, 6, 3, activation=identity)
        return {"before": y, "after": shufflenet.shuffle(tracer, y, 3)}

    _, _, traced = written(write)
    np.testing.assert_array_equal(traced["after"], traced["before"][:, [0, 2, 4, 1, 3, 5]])


@pytest.mark.backend
def test_a_detector_gives_boxes_in_pixels_and_probabilities():
    _, _, traced = written(TINY["yolo"])
    found = traced["output0"]
    cells = sum((SIZE // stride) ** 2 for stride in yolo.STRIDES)
    assert found.shape == (IMAGES, 84, cells)
    assert found[:, 2:4].min() >= 0
    strides = np.repeat(yolo.STRIDES, [(SIZE // stride) ** 2 for stride in yolo.STRIDES])
    reach = (yolo.BINS - 1) * strides
    assert (found[:, 2:4] <= 2 * reach).all()  # each side is at most BINS - 1 cells away
    assert 0 <= found[:, 4:].min() < found[:, 4:].max() <= 1


def test_a_seed_gives_the_same_file_and_another_gives_another():
    write = TINY["cifar"]
    made = [written.__wrapped__(write, seed=seed)[0] for seed in (1, 1, 2)]
    files = [model.SerializeToString() for model in made]
    assert files[0] == files[1] != files[2]


def test_a_net_tells_its_preprocessing_and_leaves_its_batch_open():
    model, _, _ = written(TINY["cifar"])
    graph = ir.from_proto(model)
    assert graphs.preprocess(graph) == Preprocess(resize=(SIZE, SIZE))
    assert graphs.input_specs(graph)[0].shape == ("N", 3, SIZE, SIZE)


def test_pictures_of_an_archive_are_spread_over_it_and_go_on_changed(tmp_path):
    import zipfile

    from PIL import Image

    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for index in range(4):
            picture = Image.fromarray(np.full((20, 24, 3), 60 * index, np.uint8))
            picture.save(tmp_path / "one.png")
            opened.write(tmp_path / "one.png", f"{index}.png")
    two = pictures.photographs(archive, 2, 16)
    assert [int(one.mean()) for one in two] == [0, 120]
    six = pictures.photographs(archive, 6, 16)
    assert [int(one.mean()) for one in six] == [0, 60, 120, 180, 0, 60]


@pytest.mark.backend
def test_weights_too_large_for_one_file_lie_beside_it(tmp_path, monkeypatch):
    model, probes, traced = written(TINY["cifar"])
    monkeypatch.setattr(writing, "LARGEST_FILE", 0)
    path = tmp_path / "net.onnx"
    size = writing.write(ir.from_proto(model), path)
    beside = (tmp_path / "net.onnx.data").stat().st_size
    assert 0.8 * size < beside <= size  # small ones stay
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {"input": probes})[0]
    np.testing.assert_allclose(got, traced["output"], rtol=2e-3, atol=2e-3)


def test_no_name_is_in_both_lists():
    assert not set(NETS) & set(BIG)
