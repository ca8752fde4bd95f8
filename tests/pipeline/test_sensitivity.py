"""What pruning would cost: in errors, in answers and in accuracy."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis.decisions import Decision
from core.calibration import Probe
from core.pipeline.sensitivity import agreement, answers, sensitivity
from tests.analysis.nets import image, residual
from tests.compress.refit.images import Pictures


def test_answers_fall_with_the_error_of_the_outputs():
    outputs = np.random.default_rng(0).normal(size=(200, 10))
    assert agreement(outputs, 0.0) == 100
    assert agreement(outputs, 0.5) < agreement(outputs, 0.05) < 100


def said(graph, pictures) -> np.ndarray:
    name = graph.graph.outputs[0].name
    probe = Probe(graph, [name])
    return np.concatenate([probe.run(f)[name].argmax(1) for f in pictures.feeds()])


def test_where_the_labels_are_the_models_own_answers_accuracy_is_lost_as_answers_change():
    graph = residual()
    pictures = Pictures(graph)
    found = sensitivity(graph, pictures, said(graph, pictures)).effects
    assert found
    assert any(effect.agreement < 100 for effect in found)
    for effect in found:
        assert effect.accuracy_lost == pytest.approx(100 - effect.agreement)


def test_where_no_label_was_right_none_can_be_lost():
    graph = residual()
    pictures = Pictures(graph)
    wrong = np.full(pictures.count, 10_000)
    assert all(e.accuracy_lost == 0 for e in sensitivity(graph, pictures, wrong).effects)


def test_without_labels_nothing_is_said_of_accuracy():
    graph = residual()
    assert {e.accuracy_lost for e in sensitivity(graph, Pictures(graph)).effects} == {None}


def test_a_study_says_what_it_does_and_never_goes_back():
    graph = residual()
    told: list[tuple[str, float]] = []
    sensitivity(graph, Pictures(graph), None, lambda *said: told.append(said))
    shares = [share for _, share in told]
    assert len({sentence for sentence, _ in told}) > 2
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.5 < shares[-1] <= 1


def ended(squash: str = "") -> ir.Model:
    """A classifier of large logits, with what comes behind them."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 12, name="a"))
    x = net.add("Relu", net.conv(x, 12, 8, name="b"))
    flat = net.add("Flatten", net.add("GlobalAveragePool", x))
    logits = net.add("Mul", net.linear(flat, 8, 5), net.const(30.0))
    return net.model(net.add(squash, logits) if squash else logits)


@pytest.mark.parametrize("squash", ["Softmax", "Sigmoid", "LogSoftmax"])
def test_what_a_cut_costs_does_not_depend_on_what_comes_behind_the_logits(squash: str):
    plain, squashed = ended(), ended(squash)
    found = [sensitivity(g, Pictures(g)) for g in (plain, squashed)]
    assert found[0].tolerance
    assert found[1].tolerance == found[0].tolerance
    for one, other in zip(*(f.effects for f in found), strict=True):
        assert other.error == pytest.approx(one.error, rel=1e-3)
        assert other.agreement == one.agreement


def test_where_the_network_knows_the_images_answers_bear_less_than_they_seem_to():
    graph = residual()
    pictures = Pictures(graph)
    plain = sensitivity(graph, pictures)
    known = sensitivity(graph, pictures, said(graph, pictures))
    assert not plain.familiar
    assert known.familiar
    assert len(known.tolerance) == len(plain.tolerance)
    assert known.tolerance != plain.tolerance


def test_a_single_logit_answers_by_its_sign():
    outputs = np.array([[3.0], [-2.0], [0.5]])
    deciding = Decision(ir.Value(name="z"), squashed="Sigmoid")
    assert answers(outputs, deciding).tolist() == [True, False, True]
    assert answers(outputs) is None  # a regression


def test_of_boxes_the_class_of_the_best_one_counts():
    scores = np.zeros((2, 3, 10))
    scores[0, 1, 7] = scores[1, 2, 0] = 5
    scores[1, 0, 3] = 4
    boxes = Decision(ir.Value(name="z"), axis=1, squashed="Sigmoid")
    assert answers(scores, boxes).tolist() == [1, 2]
    places = Decision(ir.Value(name="z"), axis=1, squashed="Softmax")
    assert answers(scores, places).shape == (2, 10)
