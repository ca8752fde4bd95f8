"""The table of real nets: what a job is, what is said of it; control groups; the race; wheels."""

import json
import sys
import zipfile

import numpy as np
import onnx
import pytest

from benchmarks import control_group, process_tree, race, wheels
from benchmarks.jobs import Subject, Terms, perform, prepare
from benchmarks.nets import resnet
from core.data import read_preprocess
from core.records import Preprocess
from tests.benchmarks.test_nets import written

MB = 1 << 20


@pytest.fixture
def subject(tmp_path):
    """A tiny net and images for it."""
    model, _, _ = written(lambda t: resnet.cifar(t, 8, resnet.basic, 4))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (4, 32, 40, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    return Subject("net", path, tmp_path / "images.npz", None, {"N": 1})


def test_others_get_the_net_with_its_sizes_and_ready_inputs(subject, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    ready = prepare(subject, folder, 2)
    feeds, unseen = np.load(ready.feeds), np.load(ready.unseen)
    assert feeds.shape == (4, 3, 64, 64)
    np.testing.assert_array_equal(unseen, feeds[:2, :, :, ::-1])
    assert race.session(ready.model, 1).get_inputs()[0].shape == [1, 3, 64, 64]


@pytest.mark.backend
def test_a_job_is_a_command_of_ours_and_its_failure_is_said(subject, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    terms = Terms(tmp_path, 60)
    heavy = onnx.load(subject.path)  # so that what works on it holds more than what asked for it
    unused = np.ones((16, MB), np.float32)
    heavy.graph.initializer.append(onnx.numpy_helper.from_array(unused, "heavy"))
    heavy.graph.output.append(onnx.helper.make_tensor_value_info("sum", 1, []))
    heavy.graph.node.append(onnx.helper.make_node("ReduceSum", ["heavy"], ["sum"], keepdims=0))
    onnx.save(heavy, subject.path)
    good = perform(subject, "fp16", folder, terms)
    assert good.usage.status == 0
    assert good.model is not None
    assert good.model.stat().st_size < subject.path.stat().st_size
    assert good.usage.largest_name == "core.pipeline"
    subject.path.write_bytes(b"no model")
    bad = perform(subject, "inspect", folder, terms)
    assert bad.usage.status == 2
    assert bad.model is None
    assert "net.onnx" in bad.said


def test_error_is_that_of_the_outputs_beside_their_spread_over_the_images():
    wanted = [np.array([[1.0, 2.0], [3.0, 6.0]])]
    assert race.error(wanted, wanted) == 0
    assert race.error([np.full((2, 2), wanted[0].mean(0))], wanted) == pytest.approx(1)
    assert race.error([wanted[0] + [[1, 0], [0, 0]]], wanted) == pytest.approx((1 / 10) ** 0.5)
    assert np.isnan(race.error([wanted[0][:, :1]], wanted))


def test_a_model_out_of_a_wheel_comes_with_its_preprocessing(tmp_path):
    wheel = tmp_path / "nudenet-3.4.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("nudenet/320n.onnx", b"model")
    assert wheels.fetched("nudenet==3.4.2", tmp_path) == wheel
    assert wheels.unpack(wheel, "nudenet_yolov8n", tmp_path) == 5
    described = json.loads((tmp_path / "nudenet_yolov8n.preprocess.json").read_text())
    assert read_preprocess(described) == Preprocess(resize=(320, 320))


def test_a_control_group_bounds_what_a_command_may_hold(tmp_path):
    command = [sys.executable, "-c", "held = bytearray(b'1') * (200 << 20); print(len(held))"]
    with control_group.bounded(100 * MB) as group:
        if group.path is None:
            assert group.reason
            assert group.command(command) == command
            pytest.skip(group.reason)
        usage = process_tree.run(group.command(command), tmp_path / "log", 30)
        assert usage.status == -9
        assert usage.together_bytes <= 110 * MB
    assert not group.path.exists()
