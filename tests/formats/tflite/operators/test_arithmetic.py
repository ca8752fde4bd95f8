"""Arithmetic of two tensors on LiteRT, against ONNX: broadcasting in every order of axes."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.arithmetic import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import operators, same

PAIRS = ["Add", "Sub", "Mul", "Div", "Max", "Min"]
COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("other", ["2,4,5,6", "4,1,1", "1,4,1,6", "6", "1", "5,1"])
def test_two_computed_tensors(name: str, other: str):
    same(
        graph(
            f"""(float[2,4,5,6] x, float[{other}] z) => (float[2,4,5,6] y) {{
            a = Relu (x) y = {name} (a, z) }}"""
        ),
        given={
            "x": np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32),
            "z": np.random.default_rng(1)
            .uniform(0.5, 2, [int(i) for i in other.split(",")])
            .astype(np.float32),
        },
    )


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 6), (6,), (), (2, 4, 5, 6)])
@pytest.mark.parametrize("first", [True, False])
def test_a_constant_behind_a_convolution_is_stored_in_its_order(
    name: str, shape: tuple[int, ...], first: bool
):
    constant = np.random.default_rng(2).uniform(0.5, 2, shape).astype(np.float32)
    call = "(c, a)" if first else "(a, c)"
    net = graph(
        f"(float[2,3,5,6] x) => (float[2,4,5,6] y) {{ a = Conv (x, k, b) y = {name} {call} }}",
        k=(4, 3, 1, 1), b=np.full(4, 40, np.float32), c=constant,
    )  # fmt: skip
    assert operators(same(net))["TRANSPOSE"] <= 2


def test_a_vector_of_another_branch_meets_an_image():
    same(
        graph(
            """(float[2,3,5,6] x) => (float[2,4,5,6] y) { a = Conv (x, k)
            p = GlobalAveragePool (a) f = Flatten (p) g = MatMul (f, w) r = Reshape (g, s)
            h = Sigmoid (r) y = Mul (a, h) }""",
            k=(4, 3, 1, 1), w=(4, 4), s=np.array([0, 4, 1, 1]),
        )
    )  # fmt: skip


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0, 1.7])
def test_powers(exponent: float):
    x = np.random.default_rng(0).uniform(0.1, 3, (3, 4)).astype(np.float32)
    net = graph("(float[3,4] x) => (float[3,4] y) { y = Pow (x, e) }", e=np.float32(exponent))
    same(net, given={"x": x})


@pytest.mark.parametrize("name", ["Sum", "Max", "Min", "Mean"])
def test_any_number_of_inputs(name: str):
    same(
        graph(
            f"""(float[2,3] x, float[2,3] z, float[3] v) => (float[2,3] y) {{
            y = {name} (x, z, v) }}"""
        )
    )


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_and_choices(name: str):
    same(
        graph(
            f"""(float[2,3] x, float[2,3] z) => (float[2,3] y, bool[2,3] c) {{
            c = {name} (x, z) y = Where (c, x, z) }}"""
        )
    )


def test_logic():
    same(
        graph(
            """(bool[2,3] x, bool[2,3] z) => (bool[2,3] a, bool[2,3] o, bool[2,3] e, bool[2,3] n) {
            a = And (x, z) o = Or (x, z) e = Xor (x, z) n = Not (x) }"""
        )
    )


def test_whole_numbers():
    net = graph(
        """(int64[2,3] x, int64[3] z) => (int64[2,3] a, int64[2,3] m, int64[2,3] r) {
        a = Add (x, z) m = Mul (x, z) r = Mod (x, z) }"""
    )
    x, z = np.array([[-7, 8, 9], [10, -11, 12]]), np.array([3, -4, 5])
    same(net, given={"x": x, "z": z})


def test_every_operator_is_tested_here():
    tested = {*PAIRS, *COMPARISONS, "Pow", "Sum", "Mean", "Where", "And", "Or", "Xor", "Not", "Mod"}
    assert tested == set(OPERATORS)
