"""Advice: each remark appears where it is due, with the right number, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis import cost
from core.analysis.advice import advise
from core.analysis.training_mode import exported_so
from core.calibration.services import NoServices
from core.pipeline import runner
from core.records import Note, Recipe, Step
from core.wording import Advised, advised, sentence
from tests.analysis.nets import Net, head, image, residual
from tests.builders import graph, norm

FOLD = Recipe("fold", (Step("fold_batch_norm"),))


def remarks(model: ir.Model) -> dict[str, Advised]:
    found = map(advised, advise(model, cost.layers(model)))
    return {remark.title: remark for remark in found}


def said(note: Note | None) -> str:
    return sentence(note) if note else ""


def plain(depth: int, width: int = 16, shortcut: bool = False, norm: bool = False) -> ir.Model:
    net = image(channels=width)
    x = "x"
    for i in range(depth):
        y = net.conv(x, width, width, name=f"c{i}")
        y = net.norm(y, width) if norm else y
        x = net.add("Add", x, y) if shortcut and i % 2 else net.add("Relu", y)
    return head(net, x, width)


def test_batch_norms_that_follow_a_layer_are_counted():
    advice = remarks(plain(3, norm=True))["Batch norms"]
    assert (advice.figure, advice.text.split(" directly")[0]) == ("3 to fold", "3 of 3 batch norms")


@pytest.mark.parametrize(
    ("attributes", "outputs", "opset"),
    [("training_mode=1", "n, m, v", 15), ("epsilon=0.001", "n, m, v, sm, sv", 9)],
)
def test_a_batch_norm_in_training_mode_is_pointed_out_and_no_fold_is_promised(
    attributes: str, outputs: str, opset: int
):
    text = f"""(float[2,4,8,8] x) => (float[2,4,8,8] y) {{
        c = Conv <pads=[1,1,1,1]> (x, w)
        {outputs} = BatchNormalization <{attributes}> (c, s, t, mean, var)
        y = Relu (n)
    }}"""
    model = graph(text, opset, w=(4, 4, 3, 3), s=(4,), t=(4,), mean=(4,), var=(4,))
    assert "cannot be folded" in remarks(model)["Batch norms"].text
    assert "in training mode (1 batch norm)" in said(exported_so(list(model.graph), opset))
    _, report = runner.apply(model, FOLD, NoServices())
    assert report[0].changed == 0  # as the advice has it


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
def test_what_is_promised_to_fold_is_what_the_pass_folds(place: str):
    text = """(float[2,4,8,8] x) => (float[2,4,8,8] y, float[2,4,8,8] tap) {
        c = Conv <pads=[1,1,1,1]> (x, w) a = BatchNormalization (c, s, t, m, v) r = Relu (a)
        tap = Conv <pads=[1,1,1,1]> (r, w2) y = BatchNormalization (tap, s, t, m, v)
    }"""
    model = graph(text, 17, place, w=(4, 4, 3, 3), w2=(4, 4, 3, 3), **norm(4))
    _, report = runner.apply(model, FOLD, NoServices())
    assert remarks(model)["Batch norms"].figure == "1 to fold"
    assert report[0].changed == 1


@pytest.mark.parametrize(("opset", "text", "says"), [
    (17, "y = Dropout (x, r, on)", True),
    (17, "y = Dropout (x, r)", False),
    (11, "y = Dropout <ratio=0.5> (x)", False),
])  # fmt: skip
def test_a_dropout_that_still_drops_is_pointed_out(opset: int, text: str, says: bool):
    weights = {"r": np.float32(0.5), "on": np.bool_(True)} if opset == 17 else {}
    model = graph(f"(float[2,4] x) => (float[2,4] y) {{ {text} }}", opset, **weights)
    assert ("1 dropout" in said(exported_so(list(model.graph), opset))) is says


def test_shared_weights_are_not_shrunk_twice():
    net = image(channels=16)
    left = net.conv("x", 16, 16, name="one")
    right = net.conv(left, 16, 16, name="two")
    model = head(net, right, 16)
    nodes = [node for node in model.graph if node.op_type == "Conv"]
    nodes[1].replace_input_with(1, nodes[0].inputs[1])
    text = remarks(model)["Depthwise + pointwise would shrink it"].text
    parameters = cost.totals(model)[0]
    kept = parameters - (16 * 16 * 9 - 16 * 9 - 16 * 16)
    assert f"to {kept / 1000:.3g} k parameters" in text or f"to {kept} parameters" in text


def test_a_deep_net_without_batch_norm_may_be_a_folded_one_and_that_is_said():
    advice = remarks(plain(12))["No batch norm in the file"]
    assert advice.figure == "12 convolutions"
    assert "the file cannot tell" in advice.text
    assert "No batch norm in the file" not in remarks(plain(4))


def test_batch_norms_before_an_activation_do_not_fold_backwards():
    net = image(channels=8)
    x = net.add("Relu", net.norm("x", 8))
    advice = remarks(head(net, net.conv(x, 8, 8), 8))["Batch norms"]
    assert advice.figure == "1 to stay"
    assert "not directly behind a layer" in advice.text


@pytest.mark.parametrize(
    ("depth", "shortcut", "expected"), [(12, False, 12), (9, False, None), (12, True, None)]
)
def test_a_deep_plain_net_misses_shortcuts(depth, shortcut, expected):
    advice = remarks(plain(depth, shortcut=shortcut)).get("Shortcuts missing")
    figure = f"{expected} convolutions in a row" if expected else None
    assert (advice.figure if advice else None) == figure


def test_the_gain_of_depthwise_and_pointwise_is_counted():
    model = plain(1, width=16)
    advice = remarks(model)["Depthwise + pointwise would shrink it"]
    before = cost.totals(model)[1]
    saved = 64 * (16 * 16 * 9 - (16 * 9 + 16 * 16))
    assert advice.figure == f"{100 * saved / before:.3g} % fewer MACs"
    assert "c0 (147 k -> 25.6 k MACs)" in advice.text


def test_a_separable_net_needs_no_separation():
    net = image(channels=16)
    x = net.conv("x", 16, 16, group=16)
    model = head(net, net.conv(x, 16, 32, 1), 32)
    assert "Depthwise + pointwise would shrink it" not in remarks(model)


def test_odd_channels_are_listed_but_not_those_that_the_task_asks_for():
    net = image()
    x = net.conv("x", 3, 12, name="odd")
    x = net.conv(x, 12, 16, name="even")
    model = net.model(net.conv(x, 16, 5, name="last"))
    advice = remarks(model)["Odd channel counts"]
    assert advice.figure == "1 convolution"
    assert "odd (12)" in advice.text
    assert "last" not in advice.text


def test_a_large_fully_connected_layer_stands_out():
    net = Net({"x": ["N", 400]})
    model = net.model(net.add("Gemm", "x", net.weight(400, 200), name="big"))
    advice = remarks(model)["Large fully connected layers"]
    assert advice.figure == "100 % of the parameters"
    assert "big (80 k)" in advice.text


def test_no_remark_claims_a_measurement():
    for model in (plain(12), residual(), plain(12, norm=True)):
        for advice in remarks(model).values():
            assert " ms" not in advice.text
            assert "faster" not in advice.text
