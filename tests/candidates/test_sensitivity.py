"""What pruning would cost: in errors, in answers and in accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from core.activations import Probe
from core.candidates.sensitivity import agreement, sensitivity
from tests.analysis.nets import residual
from tests.reconstruction.images import Pictures


def test_answers_fall_with_the_error_of_the_outputs():
    outputs = np.random.default_rng(0).normal(size=(200, 10))
    assert agreement(outputs, 0.0) == 100
    assert agreement(outputs, 0.5) < agreement(outputs, 0.05) < 100


def answers(graph, pictures) -> np.ndarray:
    name = graph.graph.outputs[0].name
    probe = Probe(graph, [name])
    return np.concatenate([probe.run(f)[name].argmax(1) for f in pictures.feeds()])


def test_where_the_labels_are_the_models_own_answers_accuracy_is_lost_as_answers_change():
    graph = residual()
    pictures = Pictures(graph)
    found = sensitivity(graph, pictures, answers(graph, pictures)).effects
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
