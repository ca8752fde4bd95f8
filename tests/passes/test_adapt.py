"""Adapt: operators that some runtimes lack become others, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import PassPrecondition
from core.passes.adapt import Adapt
from core.passes.adapt.base import rewrites
from core.passes.base import build
from core.records import Step
from core.wording import sentences
from tests.builders import graph, kinds, rewrite, same

IMAGE = "(float[2,6,8,9] x) => (float[A,B,C,D] y)"
ROWS = "(float[2,5,12] x) => (float[A,B,C] y)"
FLAT = "(float[2,3,4,4] x) => (float[A,B] y)"


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


BRANCHES = """(float[2,3] x, bool c{given}) => (float[2,3] y) {{
    y = If (c) <then_branch = then () => (float[2,3] a) {{ {first} }},
    else_branch = other () => (float[2,3] b) {{ {second} }}> }}"""
# rewrite -> (graph, weights, opset, operators that are left)
CASES = {
    "stepped_slices": [
        (f"{IMAGE} {{ y = Slice (x, s, e, a, t) }}",
         {"s": ints(0, 0), "e": ints(99, 99), "a": ints(2, 3), "t": ints(2, 3)}, 17, ["MaxPool"]),
        (f"{IMAGE} {{ y = Slice (x, s, e, a, t) }}",
         {"s": ints(1, 0), "e": ints(7, 99), "a": ints(-2, 3), "t": ints(2, 2)}, 13,
         ["Slice", "MaxPool"]),
        (f"{ROWS} {{ y = Slice (x, s, e, a, t) }}",
         {"s": ints(0), "e": ints(12), "a": ints(2), "t": ints(4)}, 11, ["MaxPool"]),
    ],
    "flattened_reshapes": [
        (f"{FLAT} {{ y = Reshape (x, to) }}", {"to": ints(2, -1)}, 17, ["Flatten"]),
        (f"{FLAT} {{ y = Reshape (x, to) }}", {"to": ints(0, 48)}, 13, ["Flatten"]),
        ("(float[N,3,4,4] x) => (float[N,48] y) { y = Reshape (x, to) }", {"to": ints(-1, 48)}, 9,
         ["Flatten"]),
    ],
    "channel_pads": [
        (f"{IMAGE} {{ y = Pad (x, p) }}", {"p": ints(0, 2, 0, 0, 0, 3, 0, 0)}, 17, ["Concat"]),
        (f"{IMAGE} {{ y = Pad (x, p, v) }}",
         {"p": ints(0, 0, 0, 0, 0, 3, 0, 0), "v": np.float32(-2)}, 13, ["Concat"]),
        (f"{IMAGE} {{ y = Pad <pads=[0,1,0,0,0,0,0,0], value=0.5> (x) }}", {}, 9, ["Concat"]),
    ],
    "basic_activations": [
        (f"{IMAGE} {{ y = HardSwish (x) }}", {}, 17, ["Mul", "Add", "Clip", "Mul"]),
        (f"{IMAGE} {{ y = HardSigmoid <alpha=0.3, beta=0.4> (x) }}", {}, 9, ["Mul", "Add", "Clip"]),
        (f"{IMAGE} {{ y = HardSigmoid <alpha=0.0, beta=0.4> (x) }}", {}, 9, ["Mul", "Add", "Clip"]),
        (f"{IMAGE} {{ y = Gelu (x) }}", {}, 20, ["Mul", "Erf", "Mul", "Add", "Mul"]),
        (f'{IMAGE} {{ y = Gelu <approximate="tanh"> (x) }}', {}, 20,
         ["Mul", "Mul", "Mul", "Add", "Mul", "Tanh", "Mul", "Add", "Mul"]),
        (f"{IMAGE} {{ y = Mish (x) }}", {}, 18, ["Softplus", "Tanh", "Mul"]),
    ],
    "gathered_ranges": [
        (f"{IMAGE} {{ y = Gather <axis=1> (x, i) }}", {"i": ints(1, 2, 3)}, 17, ["Slice"]),
        (f"{IMAGE} {{ y = Gather <axis=3> (x, i) }}", {"i": ints(0, 2, 4, 6)}, 13, ["Slice"]),
        (f"{IMAGE} {{ y = Gather <axis=-3> (x, i) }}", {"i": ints(5, -2, 0, 1)}, 17,
         ["Slice", "Slice", "Slice", "Concat"]),
        (f"{IMAGE} {{ y = Gather <axis=1> (x, i) }}", {"i": ints(0, 1, 4)}, 9,
         ["Slice", "Slice", "Concat"]),
    ],
    "split_slices": [
        ("(float[2,6] x) => (float[2,A] y) { a, b = Split <axis=1> (x, s) "
         "y = Concat <axis=1> (b, a) }", {"s": ints(2, 4)}, 17, ["Slice", "Slice", "Concat"]),
        ("(float[2,6] x) => (float[2,A] y) { a, b = Split <axis=1> (x) y = Sub (b, a) }", {}, 9,
         ["Slice", "Slice", "Sub"]),
        ("(float[2,5] x) => (float[2,A] y, float[2,B] z) "
         "{ y, z = Split <axis=1, num_outputs=2> (x) }", {}, 18, ["Slice", "Slice"]),
    ],
    "basic_norms": [
        (f"{ROWS} {{ y = LayerNormalization (x, s, b) }}", {"s": (12,), "b": (12,)}, 17,
         ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]),
        (f"{ROWS} {{ y = LayerNormalization <axis=1, epsilon=0.1> (x, s) }}", {"s": (5, 12)}, 18,
         ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]),
        (f"{IMAGE} {{ y = InstanceNormalization (x, s, b) }}", {"s": (6,), "b": (6,)}, 9,
         ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Reshape", "Reshape",
          "Mul", "Add"]),
        (f"{IMAGE} {{ y = GroupNormalization <num_groups=3> (x, s, b) }}", {"s": (6,), "b": (6,)},
         21, ["Reshape", "ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Reshape",
              "Reshape", "Reshape", "Mul", "Add"]),
        (f"{IMAGE} {{ y, p, q = BatchNormalization <training_mode=1> (x, s, b, m, v) }}",
         {"s": (6,), "b": (6,), "m": (6,), "v": np.ones(6, np.float32)}, 15,
         ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Reshape", "Reshape",
          "Mul", "Add"]),
    ],
    "vendor_operators": [
        (f"""{IMAGE} {{ y = com.microsoft.FusedConv <activation="LeakyRelu", pads=[1,1,1,1],
            activation_params=[0.2]> (x, w, b) }}""", {"w": (4, 6, 3, 3), "b": (4,)}, 17,
         ["Conv", "LeakyRelu"]),
        (f"{ROWS} {{ y = com.microsoft.FusedMatMul <transB=1, alpha=0.5> (x, w) }}",
         {"w": (7, 12)}, 17, ["Transpose", "MatMul", "Mul"]),
        (f"{ROWS} {{ y = com.microsoft.BiasGelu (x, b) }}", {"b": (12,)}, 17,
         ["Add", "Mul", "Erf", "Mul", "Add", "Mul"]),
        (f"{ROWS} {{ a = com.microsoft.QuickGelu (x) y = Neg (a) }}", {}, 17,
         ["Mul", "Sigmoid", "Mul", "Neg"]),
        (f"{ROWS} {{ a = com.microsoft.QuickGelu <alpha=0.0> (x) y = Neg (a) }}", {}, 17,
         ["Mul", "Sigmoid", "Mul", "Neg"]),
    ],
    "empty_parts": [
        (f"{IMAGE} {{ y = Concat <axis=1> (x, e, x) }}", {"e": np.zeros((2, 0, 8, 9), np.float32)},
         17, ["Concat"]),
        (f"{IMAGE} {{ y = Concat <axis=1> (x, e) }}", {"e": np.zeros((2, 0, 8, 9), np.float32)},
         13, ["Identity"]),
    ],
    "fixed_sequences": [
        (f"{IMAGE} {{ s = SplitToSequence <axis=1> (x, p) y = SequenceAt (s, i) }}",
         {"p": ints(2, 4), "i": np.array(1)}, 17, ["Slice", "Identity"]),
        (f"{IMAGE} {{ s = SplitToSequence <axis=2> (x, p) y = ConcatFromSequence <axis=1> (s) }}",
         {"p": np.array(4)}, 13, ["Slice", "Slice", "Concat"]),
        ("(float[2,3] x) => (float[A,B,C] y) { s = SequenceConstruct (x, x) "
         "y = ConcatFromSequence <axis=-1, new_axis=1> (s) }", {}, 11,
         ["Unsqueeze", "Unsqueeze", "Concat"]),
    ],
    "chosen_branches": [
        ("""(float[2,3] x, bool c) => (float[2,3] y) {
            y = If (c) <then_branch = then () => (float[2,3] a) { k = Mul (x, w) a = Relu (k) },
            else_branch = other () => (float[2,3] b) { k = Add (x, w) b = Neg (k) }> }""",
         {"w": (2, 3)}, 17, ["Mul", "Relu", "Add", "Neg", "Where"]),
        (BRANCHES.format(given="", first="a = Slice (x, s, s2, s)", second="b = Gather (x, i)"),
         {"s": ints(0), "s2": ints(2), "i": ints(1, 0)}, 17, ["Slice", "Gather", "Where"]),
    ],
    "common_opset": [
        (f"{IMAGE} {{ a = Relu (x) y = Clip <min=0.1, max=0.5> (a) }}", {}, 9, ["Relu", "Clip"]),
        (f"{IMAGE} {{ y = Relu (x) }}", {}, 21, ["Relu"]),
    ],
}  # fmt: skip
TRIED = [(name, case) for name, cases in CASES.items() for case in cases]

# rewrite -> graphs that it must leave alone, with weights and opset
LEFT = {
    "stepped_slices": [
        (f"{IMAGE} {{ y = Slice (x, s, e, a, t) }}",
         {"s": ints(-1), "e": ints(-99), "a": ints(3), "t": ints(-1)}, 17),  # backwards
        (f"{IMAGE} {{ y = Slice (x, s, e, a, t) }}",
         {"s": ints(0), "e": ints(99), "a": ints(1), "t": ints(2)}, 17),  # channels
    ],
    "flattened_reshapes": [(f"{FLAT} {{ y = Reshape (x, to) }}", {"to": ints(6, -1)}, 17)],
    "channel_pads": [
        (f"{IMAGE} {{ y = Pad (x, p) }}", {"p": ints(0, 1, 1, 0, 0, 0, 0, 0)}, 17),
        (f'{IMAGE} {{ y = Pad <mode="reflect"> (x, p) }}', {"p": ints(0, 2, 0, 0, 0, 0, 0, 0)}, 17),
        ("(float[N,3] x) => (float[N,5] y) { y = Pad (x, p) }", {"p": ints(0, 2, 0, 0)}, 17),
        ("(float[1,3,1024,1024] x) => (float[1,A,1024,1024] y) { y = Pad (x, p) }",
         {"p": ints(0, 2, 0, 0, 0, 0, 0, 0)}, 17),  # a constant of 8 MB
    ],
    "gathered_ranges": [(f"{IMAGE} {{ y = Gather <axis=1> (x, i) }}", {"i": np.array(2)}, 17)],
    "basic_norms": [
        ("(float[2,12] x) => (float[2,12] y, float[2,1] m) { y, m = LayerNormalization (x, s) }",
         {"s": (12,)}, 17),  # its mean is read
    ],
    "chosen_branches": [
        ("""(float[2,3] x, float[N,3] z, bool c) => (float[A,3] y) {
            y = If (c) <then_branch = then () => (float[?,3] a) { a = Concat <axis=0> (z, x) },
            else_branch = other () => (float[?,3] b) { b = Concat <axis=0> (z, x, x) }> }""",
         {}, 17),  # sizes that nobody knows are not the same
        *((BRANCHES.format(given=given, first=first, second="b = Neg (x)"), weights, 17)
          for given, first, weights in (
              (", int64[2] i", "a = Gather (x, i)", {}),
              (", int64[2,3] i", "a = GatherElements (x, i)", {}),
              (", int64[2,3] i", "a = ScatterElements (x, i, x)", {}),
              (", int64[1] i", "k = Slice (x, i, e) a = Reshape (k, to)",
               {"e": ints(2), "to": ints(2, 3)}),
              (", int64[2] i", "k = Reshape (x, i) a = Add (k, x)", {}),
              (", int64[2] i", "k = Expand (x, i) a = Add (k, x)", {}),
              (", int64[2,3] i", "k = Div (i, i) a = Cast <to=1> (k)", {}),
          )),
    ],
    "common_opset": [(f"{IMAGE} {{ y = Relu (x) }}", {}, 17)],
}  # fmt: skip
KEPT = [(name, case) for name, cases in LEFT.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), TRIED)
def test_other_operators_and_the_same_numbers(name: str, case: tuple):
    text, weights, opset, left = case
    net = graph(text, opset=opset, domains='"com.microsoft" : 1', **weights)
    made, report = rewrite(net, Adapt((name,)))
    assert not report.reverted
    assert kinds(made) == left
    assert report.changed
    assert sentences(report.notes)[0].startswith(rewrites()[name].label)
    same(net, made, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "case"), KEPT)
def test_what_it_cannot_say_otherwise_stays(name: str, case: tuple):
    text, weights, opset = case
    net = graph(text, opset=opset, **weights)
    made, report = rewrite(net, Adapt((name,)))
    assert not report.reverted
    assert report.changed == 0
    assert kinds(made) == kinds(net)


def test_every_rewrite_is_tried():
    assert set(CASES) == set(rewrites())


def test_names_of_outputs_stay():
    net = graph(f"{IMAGE} {{ y = HardSwish (x) }}")
    made, _ = rewrite(net, Adapt())
    assert [value.name for value in made.graph.outputs] == ["y"]
    assert len({node.name for node in made.graph}) == len(made.graph)


def test_without_a_rewrite_there_is_nothing_to_do():
    with pytest.raises(PassPrecondition, match="No rewrite is chosen"):
        Adapt(()).requires(graph(f"{IMAGE} {{ y = Relu (x) }}"))


def test_an_unknown_rewrite_is_refused_by_name():
    with pytest.raises(PassPrecondition, match="nonsense"):
        build(Step("adapt", {"rewrites": ["nonsense"]}))
