"""What stands before a decision is found through whatever exporters write behind the logits."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.decisions import decisions, undecided
from core.calibration import Probe
from tests.analysis.nets import Net, image, residual, vision_transformer


def scored(net: Net) -> str:
    """Logits of a small classifier."""
    x = net.add("Relu", net.conv("x", 3, 8, name="a"))
    flat = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.add("Gemm", flat, net.weight(5, 8), net.weight(5), transB=1, name="fc")


@pytest.mark.parametrize("squash", ["Softmax", "LogSoftmax", "Sigmoid"])
@pytest.mark.parametrize("moved", [False, True])
def test_logits_stand_before_a_squash_and_moves_around_it(squash: str, moved: bool):
    net = image()
    y = scored(net)
    if moved:
        y = net.add("Reshape", y, net.ints(0, 5, 1))
    y = net.add(squash, y, **({} if squash == "Sigmoid" else {"axis": 1}))
    if moved:
        y = net.add("Cast", net.add("Flatten", y), to=1)
    (found,) = decisions(net.model(y))
    assert found.squashed == squash
    assert found.value.producer().op_type == ("Reshape" if moved else "Gemm")


def test_what_ends_in_logits_stays_as_it_is():
    graph = residual()
    (found,) = decisions(graph)
    assert found.value is graph.graph.outputs[0]
    assert not found.squashed


def test_the_softmax_of_an_attention_decides_nothing():
    graph = vision_transformer()
    assert [d.value for d in decisions(graph)] == list(graph.graph.outputs)


def detector(turned: bool) -> Net:
    """Boxes and scores of 64 places, chosen by NonMaxSuppression."""
    net = image(1)
    x = net.add("Relu", net.conv("x", 3, 8, name="a"))
    boxes = net.add("Reshape", net.conv(x, 8, 4, 1, name="boxes"), net.ints(1, 4, 64))
    boxes = net.add("Transpose", boxes, perm=[0, 2, 1])
    scores = net.add("Reshape", net.conv(x, 8, 3, 1, name="scores"), net.ints(1, 3, 64))
    if turned:
        scores = net.add("Sigmoid", net.add("Transpose", scores, perm=[0, 2, 1]))
        scores = net.add("Transpose", scores, perm=[0, 2, 1])
    else:
        scores = net.add("Sigmoid", scores)
    picked = net.add("NonMaxSuppression", boxes, scores, net.ints(10), name="nms")
    at = net.add("Gather", picked, net.ints(2), axis=1)
    net.chosen = net.add("Gather", boxes, net.add("Squeeze", at, net.ints(1)), axis=1)
    return net


@pytest.mark.parametrize("turned", [False, True])
def test_scores_and_boxes_stand_before_a_selection(turned: bool):
    net = detector(turned)
    scores, boxes = decisions(net.model(net.chosen))
    assert scores.squashed == "Sigmoid"
    assert scores.axis % 3 == (2 if turned else 1)
    assert boxes.value.name.startswith("Transpose")


def test_the_parts_of_a_concat_are_told_apart_where_one_is_squashed():
    net = image()
    x = net.add("Relu", net.conv("x", 3, 8, name="a"))
    y = net.add("Concat", net.conv(x, 8, 4, name="b"), net.add("Sigmoid", x), axis=1)
    assert [d.squashed for d in decisions(net.model(y))] == ["", "Sigmoid"]


def test_the_copy_gives_out_what_the_softmax_reads():
    net = image()
    graph = net.model(net.add("Softmax", scored(net)))
    copy = undecided(graph)
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    (name,) = [v.name for v in copy.graph.outputs]
    logits = Probe(copy, [name]).run(feeds)[name]
    said = graph.graph.outputs[0].name
    powers = np.exp(logits)
    expected = powers / powers.sum(1, keepdims=True)
    assert Probe(graph, [said]).run(feeds)[said] == pytest.approx(expected, abs=1e-5)
