"""Where the batch is used as a number, what OpenVINO would misread stays float."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from core.calibration.remote_runner import Elsewhere
from core.compress.quantization.batches import misread
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.prepare import prepared
from core.passes.base import Report
from core.passes.quantize_int8 import QuantizeInt8
from core.passes.quantize_int8.readers import agreed
from core.wording import sentences
from tests.calibration.test_remote_runner import Spoilt
from tests.compress.quantization.nets import Random, parsed, random, run
from tests.compress.quantization.test_qdq_writer import quantized


def patches(batch="N", token="Expand(cls, t)", bias="b1"):
    """A patch embedding with a class token for each image, and a layer that reads the tokens."""
    return parsed(
        f"""g (float[{batch}, 3, 12, 12] x) => (float[{batch}, 10, 5] y) {{
          p = Conv<kernel_shape=[4,4], strides=[4,4]>(x, w1{"," if bias else ""} {bias})
          r = Reshape(p, nine)
          k = Transpose<perm=[0,2,1]>(r)
          s = Shape(x)
          n = Slice(s, zero, one)
          t = Concat<axis=0>(n, rest)
          c = {token}
          j = Concat<axis=1>(c, k)
          h = Tanh(j)
          y = MatMul(h, w2)
        }}""",
        {
            "w1": random(8, 3, 4, 4, scale=0.2),
            "b1": random(8, scale=2.0, seed=2),
            "w2": random(8, 5, seed=3),
            "cls": random(1, 1, 8, seed=4),
            "nine": np.array([0, 8, 9]),
            "zero": np.array([0]),
            "one": np.array([1]),
            "rest": np.array([1, 8]),
        },
    )


def stem(act="Relu(a)"):
    """A net that begins with a convolution, and uses the batch as a number at its end."""
    return parsed(
        f"""g (float[N, 3, 12, 12] x) => (float[N, 9, 12, 12] y) {{
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
          r = {act}
          b = Conv<kernel_shape=[1,1]>(r, w2, b1)
          q = Relu(b)
          d = Conv<kernel_shape=[1,1]>(q, w3, b1)
          s = Shape(x)
          n = Slice(s, zero, one)
          t = Concat<axis=0>(n, rest)
          c = Expand(cls, t)
          y = Concat<axis=1>(c, d)
        }}""",
        {
            "w1": random(8, 3, 3, 3),
            "w2": random(8, 8, 1, 1, seed=5),
            "w3": random(8, 8, 1, 1, seed=6),
            "b1": random(8, scale=2.0, seed=2),
            "cls": random(1, 1, 12, 12, seed=4),
            "zero": np.array([0]),
            "one": np.array([1]),
            "rest": np.array([1, 12, 12]),
        },
    )


@pytest.mark.parametrize(
    ("model", "floats"),
    [
        (patches(), 1),
        (patches(batch="2"), 0),  # a number that is known
        (patches(bias=""), 0),  # nothing to lose
        (stem("Tanh(a)"), 1),
        (stem(), 0),  # read in integers: leaving it float alone would not help
    ],
)
def test_who_stays_float(model, floats):
    source = prepared(model)
    first = [node.name for node in source.graph if node.op_type == "Conv"][:floats]
    assert misread(source) == set(first)


def plain_errors(graph, model, backend, feeds):
    truth = [run(model, f["x"])["y"] for f in feeds]
    found = [o["y"] for o in backend(graph, feeds)]
    return sum(((a - b) ** 2).sum() for a, b in zip(found, truth, strict=True)) / sum(
        (b**2).sum() for b in truth
    )


@pytest.mark.backend
def test_openvino_reads_the_file_rightly_and_would_not_without_this():
    backend, feeds = Elsewhere("openvino"), list(Random(count=8).feeds())
    try:
        _, _, naive = quantized(patches())
        assert plain_errors(naive, patches(), backend, feeds) > 0.1
        made, report = patches(), Report()
        QuantizeInt8(goal="fastest").apply(made, report, Random(count=64))
        assert plain_errors(made, patches(), backend, feeds) < 0.01
        assert [s.node.partition("_")[0] for s in report.skipped] == ["Conv"]
        assert report.changed == 1
    finally:
        backend.close()


def read_by(backend, model):
    judged = headless(prepared(model))
    _, plan, _ = quantized(model)
    evaluator, report = Evaluator(judged, CalibrationSplit(Random(count=64))), Report()
    return plan, agreed(judged, plan, evaluator, [backend], report), report


@pytest.mark.backend
def test_what_openvino_strays_on_is_mended_by_floats_at_the_inputs():
    plan, found, report = read_by(Elsewhere("openvino"), stem())
    assert found.selection.weighted == plan.selection.weighted[2:]
    assert "first 2 layers stay float" in sentences(report.notes)[0]
    assert not sentences(report.warnings)


def test_a_runtime_that_reads_rightly_changes_nothing():
    plan, found, report = read_by(Spoilt(lambda _: 1.0), stem())
    assert found is plan
    assert "Read by other runtimes" in sentences(report.notes)[0]
    assert not sentences(report.warnings)


def test_what_nothing_mends_is_a_warning_and_a_refusal_a_note():
    plan, found, report = read_by(Spoilt(lambda _: 2.0), stem())
    assert found is plan
    assert "Spoilt misreads this file" in sentences(report.warnings)[0]
    plan, found, report = read_by(Spoilt(lambda _: None), stem())
    assert found is plan
    assert "does not run it" in sentences(report.notes)[0]


def test_a_size_of_a_static_part_is_no_use_of_the_batch():
    model = parsed(
        """g (float[N, 3, 4, 4] x) => (float[N, 8] y) {
          a = Conv<kernel_shape=[4,4]>(x, w, b)
          y = Reshape(a, eight)
        }""",
        {"w": random(8, 3, 4, 4), "b": random(8), "eight": np.array([-1, 8])},
    )
    assert misread(prepared(model)) == set()
    assert graphs.constant(next(iter(prepared(model).graph)).inputs[2]) is not None
