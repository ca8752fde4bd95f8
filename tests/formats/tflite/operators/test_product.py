"""Gemm and MatMul on LiteRT, against ONNX: known and computed sides, batches, biases."""

from __future__ import annotations

import numpy as np
import pytest

from core.formats.tflite.operators.product import OPERATORS
from tests.builders import graph
from tests.formats.tflite.answers import marked, operators, same

GEMMS = {
    "plain": ("", (6, 4), "x, w, b", (4,)),
    "no bias": ("", (6, 4), "x, w", None),
    "turned": ("transB=1", (4, 6), "x, w, b", (4,)),
    "factors": ("transB=1, alpha=0.5, beta=2.0", (4, 6), "x, w, b", (1, 4)),
    "one number": ("", (6, 4), "x, w, b", (1,)),
    "a whole matrix": ("", (6, 4), "x, w, b", (3, 4)),
    "a column": ("beta=0.5", (6, 4), "x, w, b", (3, 1)),
}
PRODUCTS = {
    "known matrix": ("float[3,6] x", "(x, w)", {"w": (6, 4)}, "3,4"),
    "known matrix, batch": ("float[2,5,3,6] x", "(x, w)", {"w": (6, 4)}, "2,5,3,4"),
    "known first": ("float[6,4] x", "(w, x)", {"w": (3, 6)}, "3,4"),
    "known batch": ("float[2,3,6] x", "(x, w)", {"w": (2, 6, 4)}, "2,3,4"),
    "both computed": ("float[2,3,6] x, float[2,6,4] z", "(x, z)", {}, "2,3,4"),
    "broadcast": ("float[2,5,3,6] x, float[5,6,4] z", "(x, z)", {}, "2,5,3,4"),
    "matrix by vector": ("float[3,6] x, float[6] z", "(x, z)", {}, "3"),
    "vector by matrix": ("float[6] x, float[6,4] z", "(x, z)", {}, "4"),
    "vectors": ("float[6] x, float[6] z", "(x, z)", {}, ""),
}


@pytest.mark.parametrize("name", GEMMS)
def test_gemm(name: str):
    attributes, weight, inputs, bias = GEMMS[name]
    more = {} if bias is None else {"b": bias}
    text = f"(float[3,6] x) => (float[3,4] y) {{ y = Gemm {marked(attributes)} ({inputs}) }}"
    same(graph(text, w=weight, **more))


def test_gemm_of_a_turned_input_and_computed_factors():
    same(
        graph(
            """(float[6,3] x, float[4,6] z, float[4] c) => (float[3,4] y) {
            y = Gemm <transA=1, transB=1, alpha=2.0, beta=0.5> (x, z, c) }"""
        )
    )


@pytest.mark.parametrize("name", PRODUCTS)
def test_matmul(name: str):
    inputs, call, weights, shape = PRODUCTS[name]
    same(graph(f"({inputs}) => (float[{shape}] y) {{ y = MatMul {call} }}", **weights))


def test_a_row_behind_a_product_is_its_bias():
    made = same(
        graph(
            """(float[2,3,6] x) => (float[2,3,4] y) {
            a = MatMul (x, w) b = Add (row, a) y = Relu (b) }""",
            w=(6, 4), row=(4,),
        )
    )  # fmt: skip
    assert operators(made) == {"FULLY_CONNECTED": 1}


def test_a_row_of_more_axes_than_the_product_is_no_bias():
    same(
        graph(
            """(float[2,4] x) => (float[1,2,3] y) { a = MatMul (x, w) y = Add (a, b) }""",
            w=(4, 3), b=(1, 1, 3),
        )
    )  # fmt: skip


def test_attention_as_exporters_write_it():
    made = same(
        graph(
            """(float[1,7,8] x) => (float[1,7,8] y) {
            q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv)
            q4 = Reshape (q, heads) k4 = Reshape (k, heads) v4 = Reshape (v, heads)
            qt = Transpose <perm=[0,2,1,3]> (q4) kt = Transpose <perm=[0,2,3,1]> (k4)
            vt = Transpose <perm=[0,2,1,3]> (v4)
            s = MatMul (qt, kt) d = Div (s, root) p = Softmax <axis=-1> (d)
            o = MatMul (p, vt) ot = Transpose <perm=[0,2,1,3]> (o) f = Reshape (ot, flat)
            y = MatMul (f, wo) }""",
            wq=(8, 8), wk=(8, 8), wv=(8, 8), wo=(8, 8), root=np.float32(2),
            heads=np.array([0, 0, 2, 4]), flat=np.array([0, 0, 8]),
        )
    )  # fmt: skip
    assert operators(made)["TRANSPOSE"] <= 4


def test_every_product_is_in_the_table():
    assert set(OPERATORS) == {"Gemm", "MatMul"}
