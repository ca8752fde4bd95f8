"""Points of accuracy: what noise on the logits costs is foretold without labels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.compress.quantization.evaluator import Evaluator, first_difference
from core.compress.quantization.images import CalibrationSplit
from tests.compress.quantization.nets import Random, parsed, random

CLASSES = 10


def evaluator(scale: float) -> Evaluator:
    """Of a net whose logits are `scale` times its random inputs."""
    model = parsed(
        "g (float[N, 10] x) => (float[N, 10] y) { y = Mul(x, s) }",
        {"s": np.array(scale, np.float32)},
    )
    return Evaluator(model, CalibrationSplit(Random((CLASSES,), count=256)))


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("points", [1.0, 5.0])
def test_labels_drawn_by_the_nets_confidence_agree(scale: float, points: float):
    error = evaluator(scale).bearable(points)
    drawn = np.random.default_rng(3)
    y = scale * drawn.standard_normal((200_000, CLASSES))
    odds = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    labels = (odds.cumsum(1) > drawn.random((len(y), 1))).argmax(1)
    spoilt = y + np.sqrt(error * np.mean(y**2)) * drawn.standard_normal(y.shape)
    lost = 100 * (np.mean(y.argmax(1) == labels) - np.mean(spoilt.argmax(1) == labels))
    assert points / 3 < lost < points * 1.7


def test_more_points_bear_more():
    one = evaluator(2.0)
    assert 0 < one.bearable(0.5) < one.bearable(2.0) < one.bearable(8.0)


def test_what_a_graph_costs_is_told_by_the_errors_that_it_makes():
    """Errors of another size for each image, and all towards one class: noise alone misses that."""
    known = evaluator(2.0)

    def off_by(size: float):
        text = "g (float[N, 10] x) => (float[N, 10] y) { h = Mul(x, s)\ny = Add(h, b) }"
        bias = np.eye(CLASSES)[0] * size
        return parsed(text, {"s": np.array(2.0, np.float32), "b": bias.astype(np.float32)})

    exact, small, large = (known.outcome(off_by(size))[1] for size in (0.0, 0.5, 3.0))
    assert exact == (0.0, 0.0, 0.0)
    assert 0 < small.value < large.value
    assert small.low <= small.value <= small.high
    drawn = np.random.default_rng(3)
    y = 2.0 * drawn.standard_normal((200_000, CLASSES))
    odds = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    spoilt = (y + np.eye(CLASSES)[0] * 3.0).argmax(1)
    rows = np.arange(len(y))
    true = 100 * np.mean(odds[rows, y.argmax(1)] - odds[rows, spoilt])
    assert large.low < true < large.high


BOXES, NAMES, ANCHORS = 4, 4, 12
MIXED = "g (float[N, 8, 12] x) => (float[N, 8, 12] y) { y = Mul(x, s) }"


def mixed(boxes: float, scores: float):
    """Of a detector's output, boxes in pixels beside scores; both are multiplied."""
    scale = np.full((1, BOXES + NAMES, 1), 300.0 * boxes)
    scale[:, BOXES:] = 0.01 * scores
    return parsed(MIXED, {"s": scale.astype(np.float32)})


def test_lost_scores_beside_large_boxes_are_seen():
    known = Evaluator(mixed(1.0, 1.0), CalibrationSplit(Random((BOXES + NAMES, ANCHORS), count=64)))
    assert known.error(mixed(1.0, 0.0)) == pytest.approx(1.0)
    assert known.error(mixed(0.9, 1.0)) == pytest.approx(0.01, rel=1e-3)


def test_the_worst_of_several_outputs_counts_and_one_that_is_zero_does_not():
    text = "g (float[N, 10] x) => (float[N, 10] y, float[N, 10] z, float[N, 10] o) {{ {} }}"
    body = "y = Mul(x, s)\nz = Mul(x, t)\no = Mul(x, r)"

    def scaled(first: float, second: float, third: float):
        weights = {"s": first, "t": second, "r": third}
        return parsed(text.format(body), {k: np.array(v, np.float32) for k, v in weights.items()})

    known = Evaluator(scaled(1.0, 0.01, 0.0), CalibrationSplit(Random((CLASSES,), count=64)))
    assert known.error(scaled(1.0, 0.005, 1.0)) == pytest.approx(0.25, rel=1e-3)


SIDE, LEARNT = 12, 256


def learnt(scale: float):
    """A net that has each of the images by heart as a class of its own."""
    images = Random((3, SIDE, SIDE), count=LEARNT)
    rows = np.concatenate([feeds["x"] for feeds in images.feeds()]).reshape(LEARNT, -1)
    text = f"""g (float[N, 3, {SIDE}, {SIDE}] x) => (float[N, {LEARNT}] y) {{
      f = Flatten(x)
      h = MatMul(f, w)
      y = Mul(h, s)
    }}"""
    weights = {"w": rows.T / rows.shape[1], "s": np.array(scale, np.float32)}
    return parsed(text, weights)


def known(scale: float, labels=None) -> Evaluator:
    return Evaluator(
        learnt(scale), CalibrationSplit(Random((3, SIDE, SIDE), count=LEARNT)), labels=labels
    )


def test_a_net_that_is_sure_of_all_images_is_asked_about_copies():
    evaluator = known(20.0)
    assert evaluator.familiar.known > 0.98
    assert evaluator.familiar.copies < evaluator.familiar.known
    assert known(4.0).familiar is None


def test_on_copies_an_error_is_expected_to_cost_more():
    evaluator, noisy = known(20.0), learnt(20.0)
    weight = noisy.graph.initializers["w"]
    spoilt = weight.const_value.numpy() + random(*weight.shape.numpy(), scale=5e-3, seed=9)
    weight.const_value = ir.Tensor(spoilt)
    on_copies = evaluator.outcome(noisy)[1]
    evaluator.familiar, evaluator._truth = None, evaluator._reference
    assert on_copies.value > 2 * evaluator.outcome(noisy)[1].value


def test_right_answers_tell_too_that_a_net_knows_the_images():
    right = np.arange(LEARNT)
    assert known(4.0, right).familiar is not None
    assert known(4.0, (right + 1) % LEARNT).familiar is None


def test_two_forms_are_held_against_each_other_before_the_sigmoid():
    """A detector that finds nothing gives next to zeros, whose rounding is no difference."""
    text = "g (float[N, 10] x) => (float[N, 10] y) {{ a = Mul(x, s)\nb = Sub(a, t)\ny = {}(b) }}"

    def made(scale: float, end: str = "Sigmoid"):
        numbers = {"s": np.array(scale, np.float32), "t": np.array(16.0, np.float32)}
        return parsed(text.format(end), numbers)

    feeds = next(Random((CLASSES,), count=8, batch=8).feeds())
    runner = Random().runner
    assert first_difference(made(0.1), made(0.1 + 1e-5), runner, feeds) == ""
    assert first_difference(made(0.1), made(0.2), runner, feeds) == "b"
    assert first_difference(made(9.0), made(9.0 + 5e-3), runner, feeds) == "y"  # near the middle
    assert first_difference(made(0.1, "Relu"), made(0.1, "Identity"), runner, feeds) == "y"
