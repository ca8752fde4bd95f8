"""Each family of operators, with its corners: ncnn answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.ncnn.held import held, layers

pytestmark = pytest.mark.backend

IMAGE = "(float[N,4,9,7] x) => (float[N,?,?,?] y)"
ROWS = "(float[N,5,6] x) => (float[N,?,?] y)"
CASES: dict[str, tuple] = {
    # Convolutions
    "padded on one side": (IMAGE, "y = Conv <pads=[2,0,1,3]> (x, w, b)", {"w": (6, 4, 3, 3), "b": (6,)}),
    "strided and dilated": (IMAGE, "y = Conv <strides=[2,1], dilations=[1,2]> (x, w)", {"w": (5, 4, 3, 2)}),
    "same": (IMAGE, 'y = Conv <auto_pad="SAME_LOWER", strides=[2,2]> (x, w)', {"w": (5, 4, 4, 3)}),
    "depthwise, dilated": (IMAGE, "y = Conv <group=4, dilations=[2,2], pads=[1,1,1,1]> (x, w, b)", {"w": (4, 1, 3, 3), "b": (4,)}),
    "depthwise, two of each": (IMAGE, "y = Conv <group=4> (x, w)", {"w": (8, 1, 3, 3)}),
    "grouped": (IMAGE, "y = Conv <group=2, pads=[1,1,1,1]> (x, w)", {"w": (6, 2, 3, 3)}),
    "many channels": (IMAGE, "a = Conv <pads=[1,1,1,1]> (x, w) y = Conv (a, v)", {"w": (32, 4, 3, 3), "v": (17, 32, 3, 3)}),
    "1-D": ("(float[N,4,30] x) => (float[N,?,?] y)", "y = Conv <pads=[2,1], strides=[2]> (x, w, b)", {"w": (6, 4, 5), "b": (6,)}),
    "1-D depthwise": ("(float[N,4,30] x) => (float[N,?,?] y)", "y = Conv <group=4, dilations=[3]> (x, w)", {"w": (4, 1, 5)}),
    "3-D": ("(float[N,3,6,7,5] x) => (float[N,?,?,?,?] y)", "y = Conv <pads=[0,1,2,1,0,0]> (x, w)", {"w": (4, 3, 2, 3, 3)}),
    "of one pixel": (IMAGE, "a = GlobalAveragePool (x) b = Conv (a, w, c) y = Relu (b)", {"w": (6, 4, 1, 1), "c": (6,)}),
    "norm and relu behind it": (IMAGE, "a = Conv (x, w) b = BatchNormalization (a, s, t, m, v) y = Relu (b)", {"w": (6, 4, 3, 3), "s": (6,), "t": (6,), "m": (6,), "v": np.linspace(.5, 2, 6, dtype=np.float32)}),
    "clipped behind it": (IMAGE, "a = Conv (x, w) y = Clip (a, low, high)", {"w": (6, 4, 3, 3), "low": np.float32(0), "high": np.float32(.5)}),
    "clipped on one side": (IMAGE, "a = Conv (x, w) y = Clip (a, , high)", {"w": (6, 4, 3, 3), "high": np.float32(.5)}),
    "read twice": (IMAGE, "a = Conv (x, w) b = Relu (a) y = Add (a, b)", {"w": (6, 4, 3, 3)}),
    "leaky behind it": (IMAGE, "a = Conv (x, w) y = LeakyRelu <alpha=0.2> (a)", {"w": (6, 4, 3, 3)}),
    "hard swish behind it": (IMAGE, "a = Conv (x, w) y = HardSwish (a)", {"w": (6, 4, 3, 3)}),
    "transposed": (IMAGE, "y = ConvTranspose <strides=[2,2], pads=[1,0,0,1]> (x, w, b)", {"w": (4, 6, 3, 3), "b": (6,)}),
    "transposed, more behind": (IMAGE, "y = ConvTranspose <strides=[3,2], output_padding=[2,1], dilations=[2,1]> (x, w)", {"w": (4, 6, 3, 2)}),
    "transposed, grouped": (IMAGE, "y = ConvTranspose <strides=[2,2], group=2> (x, w)", {"w": (4, 3, 3, 3)}),
    "transposed, depthwise": (IMAGE, "y = ConvTranspose <strides=[2,2], group=4, pads=[1,1,1,1]> (x, w)", {"w": (4, 1, 4, 4)}),
    "transposed, 1-D": ("(float[N,4,30] x) => (float[N,?,?] y)", "y = ConvTranspose <strides=[2]> (x, w)", {"w": (4, 6, 3)}),
    "transposed, same": (IMAGE, 'y = ConvTranspose <strides=[2,2], auto_pad="SAME_UPPER"> (x, w)', {"w": (4, 6, 3, 3)}),
    # Products
    "gemm": ("(float[N,6] x) => (float[N,?] y)", "a = Gemm <transB=1, alpha=0.5, beta=2.0> (x, w, b) y = Relu (a)", {"w": (5, 6), "b": (5,)}),
    "gemm, one bias": ("(float[N,6] x) => (float[N,?] y)", "y = Gemm (x, w, b)", {"w": (6, 5), "b": np.float32([2])}),
    "matmul of rows, with bias": (ROWS, "a = MatMul (x, w) y = Add (b, a)", {"w": (6, 8), "b": (8,)}),
    "batched matmul": ("(float[N,2,3,4] x, float[N,2,4,5] z) => (float[N,?,?,?] y)", "y = MatMul (x, z)", {}),
    "matmul with batched weights": ("(float[N,2,3,4] x) => (float[N,?,?,?] y)", "y = MatMul (x, w)", {"w": (2, 4, 5)}),
    "matmul of a constant": (ROWS, "y = MatMul (w, x)", {"w": (4, 5)}),
    "attention": ("(float[N,6,8] x) => (float[N,?,?] y)", """q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv)
        q4 = Reshape (q, heads) k4 = Reshape (k, heads) v4 = Reshape (v, heads)
        qt = Transpose <perm=[0,2,1,3]> (q4) kt = Transpose <perm=[0,2,3,1]> (k4) vt = Transpose <perm=[0,2,1,3]> (v4)
        s = MatMul (qt, kt) d = Div (s, root) p = Softmax <axis=-1> (d) o = MatMul (p, vt)
        ot = Transpose <perm=[0,2,1,3]> (o) r = Reshape (ot, flat) y = MatMul (r, wo)""",
        {"wq": (8, 8), "wk": (8, 8), "wv": (8, 8), "wo": (8, 8), "heads": np.int64([0, 6, 2, 4]), "flat": np.int64([0, 6, 8]), "root": np.float32(2)}),
    # Pooling
    "max, rounded up": (IMAGE, "y = MaxPool <kernel_shape=[3,2], strides=[2,2], ceil_mode=1, pads=[1,0,1,1]> (x)", {}),
    "mean, pads not counted": (IMAGE, "y = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1]> (x)", {}),
    "mean, pads counted": (IMAGE, "y = AveragePool <kernel_shape=[3,3], pads=[1,1,1,0], count_include_pad=1> (x)", {}),
    "mean, rounded up": (IMAGE, "y = AveragePool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1> (x)", {}),
    "whole": (IMAGE, "a = GlobalMaxPool (x) b = GlobalAveragePool (x) y = Add (a, b)", {}),
    "1-D pool": ("(float[N,4,9] x) => (float[N,?,?] y)", "y = MaxPool <kernel_shape=[3], strides=[2]> (x)", {}),
    "3-D pool": ("(float[N,3,6,7,5] x) => (float[N,?,?,?,?] y)", "y = AveragePool <kernel_shape=[2,3,2], strides=[2,1,2]> (x)", {}),
    # Activations
    "swish": (IMAGE, "a = Sigmoid (x) y = Mul (x, a)", {}),
    "hard swish of two": (IMAGE, "a = HardSigmoid <alpha=0.16666667, beta=0.5> (x) y = Mul (a, x)", {}),
    "gelu of five": (ROWS, "a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (x, c) y = Mul (d, h)", {"r": np.float32(2**.5), "one": np.float32(1), "h": np.float32(.5)}),
    "gelu, halved first": (ROWS, "h = Mul (x, half) a = Mul (x, r) b = Erf (a) c = Add (b, one) y = Mul (h, c)", {"r": np.float32(.5**.5), "one": np.float32(1), "half": np.float32(.5)}),
    "no gelu": (ROWS, "a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (a, c) y = Mul (d, h)", {"r": np.float32(2**.5), "one": np.float32(1), "h": np.float32(.5)}),
    "prelu": (IMAGE, "y = PRelu (x, s)", {"s": (4, 1, 1)}),
    "prelu, one slope": (IMAGE, "y = PRelu (x, s)", {"s": np.float32([.3])}),
    **{op: (IMAGE, f"y = {op} (x)", {}) for op in ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Selu", "Celu", "Softplus", "Softsign", "Erf", "LeakyRelu", "Abs", "Neg", "Floor", "Ceil", "Exp", "Sin", "Cos", "Sign", "Round", "Reciprocal", "Identity")},
    "softmax of channels": (IMAGE, "y = Softmax <axis=1> (x)", {}),
    "softmax of columns": (IMAGE, "y = Softmax <axis=-1> (x)", {}),
    "log softmax": (ROWS, "y = LogSoftmax <axis=1> (x)", {}),
    # Arithmetic
    "broadcast of channels": (IMAGE, "a = Mul (x, s) y = Add (t, a)", {"s": (4, 1, 1), "t": (1, 4, 1, 1)}),
    "a column subtracted from": (IMAGE, "y = Sub (c, x)", {"c": (9, 1)}),
    "a row": (IMAGE, "y = Div (x, r)", {"r": np.linspace(1, 2, 7, dtype=np.float32)}),
    "a plane": (IMAGE, "y = Max (x, p)", {"p": (9, 7)}),
    "a number on the left": (IMAGE, "a = Sub (one, x) b = Exp (a) y = Div (one, b)", {"one": np.float32(1)}),
    "as many channels as columns": ("(float[N,4,4,4] x) => (float[N,?,?,?] y)", "a = GlobalAveragePool (x) y = Mul (x, a)", {}),
    "both sides broadcast": ("(float[N,4,1,7] x, float[N,1,9,1] z) => (float[N,?,?,?] y)", "y = Add (x, z)", {}),
    "of different rank": ("(float[N,4,9,7] x, float[7] z) => (float[N,?,?,?] y)", "y = Sub (x, z)", {}),
    "five axes": ("(float[N,2,3,4,5,2] x) => (float[N,?,?,?,?,?] y)", "y = Mul (x, s)", {"s": (1, 2, 1, 1, 5, 2)}),
    "of three": (IMAGE, "a = Neg (x) b = Exp (x) c = Sum (x, a, b) y = Min (c, b, x)", {}),
    "mean of two": (IMAGE, "a = Neg (x) b = Exp (x) y = Mean (a, b)", {}),
    "squared": (IMAGE, "y = Pow (x, e)", {"e": np.float32(2)}),
    "cubed": (IMAGE, "y = Pow (x, e)", {"e": np.float32(3)}),
    "bytes go in": ("(uint8[N,4,9,7] x) => (float[N,?,?,?] y)", "a = Cast <to=1> (x) y = Div (a, c)", {"c": np.float32(255)}),
    "numbers are cut": (IMAGE, "a = Cast <to=7> (x) y = Cast <to=1> (a)", {}),
    # Parts
    "put together": (IMAGE, "a = Neg (x) b = Concat <axis=1> (x, a, x) y = Concat <axis=-1> (b, b)", {}),
    "a constant put in": (IMAGE, "y = Concat <axis=1> (x, c)", {"c": (1, 2, 9, 7), "only": "one image"}),
    "taken apart": (IMAGE, "a, b = Split <axis=1> (x, s) c = Neg (a) y = Concat <axis=1> (b, c)", {"s": np.int64([1, 3])}),
    "half unread": (IMAGE, "a, y = Split <axis=3> (x, s)", {"s": np.int64([3, 4])}),
    "cut out": (IMAGE, "y = Slice (x, s, e, a)", {"s": np.int64([1, -4]), "e": np.int64([3, 100]), "a": np.int64([1, 3])}),
    "every second pixel": (IMAGE, "y = Slice (x, s, e, a, t)", {"s": np.int64([0, 1]), "e": np.int64([100, 100]), "a": np.int64([2, 3]), "t": np.int64([2, 2])}),
    "every third channel": (IMAGE, "y = Slice (x, s, e, a, t)", {"s": np.int64([0]), "e": np.int64([100]), "a": np.int64([1]), "t": np.int64([3])}),
    "turned": (IMAGE, "y = Slice (x, s, e, a, t)", {"s": np.int64([-1]), "e": np.int64([-100]), "a": np.int64([1]), "t": np.int64([-1])}),
    "turned, every second": (IMAGE, "y = Slice (x, s, e, a, t)", {"s": np.int64([7]), "e": np.int64([0]), "a": np.int64([2]), "t": np.int64([-2])}),
    "one channel": (IMAGE, "a = Gather <axis=1> (x, i) y = Unsqueeze (a, one)", {"i": np.int64(2), "one": np.int64([1])}),
    "channels in another order": (IMAGE, "y = Gather <axis=1> (x, i)", {"i": np.int64([2, 0, 1, 1, -1])}),
    "every second row gathered": (IMAGE, "y = Gather <axis=2> (x, i)", {"i": np.int64([0, 2, 4, 6])}),
    "grown": ("(float[N,4,1,1] x) => (float[N,?,?,?] y)", "y = Expand (x, s)", {"s": np.int64([1, 4, 5, 6])}),
    "tiled": (IMAGE, "y = Tile (x, t)", {"t": np.int64([1, 2, 1, 3])}),
    "pad": (IMAGE, "y = Pad (x, p, v)", {"p": np.int64([0, 0, 1, 2, 0, 0, 3, 0]), "v": np.float32(.5)}),
    "pad of channels": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 2, 0, 0, 0, 3, 0, 0])}),
    "pad of all": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 2, 1, 0, 0, 3, 0, 2])}),
    "reflect": (IMAGE, 'y = Pad <mode="reflect"> (x, p)', {"p": np.int64([0, 0, 2, 1, 0, 0, 3, 2])}),
    "edge": (IMAGE, 'y = Pad <mode="edge"> (x, p)', {"p": np.int64([0, 1, 2, 0, 0, 0, 1, 2])}),
    "reflect of channels": (IMAGE, 'y = Pad <mode="reflect"> (x, p)', {"p": np.int64([0, 2, 0, 0, 0, 1, 0, 0])}),
    "less": (IMAGE, "y = Pad (x, p)", {"p": np.int64([0, 0, -1, 2, 0, 0, -2, -1])}),
    "pad of rows": (ROWS, "y = Pad (x, p)", {"p": np.int64([0, 1, 0, 0, 0, 2])}),
    # Movement
    "image last": (IMAGE, "y = Transpose <perm=[0,2,3,1]> (x)", {}),
    "flattened by columns": (IMAGE, "a = Transpose <perm=[0,3,1,2]> (x) b = Relu (a) y = Reshape (b, s)", {"s": np.int64([0, 7, 4, 9])}),
    "every order of three": (IMAGE, "a = Transpose <perm=[0,1,3,2]> (x) b = Transpose <perm=[0,2,1,3]> (a) c = Transpose <perm=[0,3,2,1]> (b) y = Transpose <perm=[0,2,3,1]> (c)", {}),
    "windows": ("(float[N,8,8,3] x) => (float[?,16,3] y)", "a = Reshape (x, s) b = Transpose <perm=[0,1,3,2,4,5]> (a) y = Reshape (b, t)", {"s": np.int64([0, 2, 4, 2, 4, 3]), "t": np.int64([-1, 16, 3]), "only": "one image"}),
    "four axes moved": ("(float[N,2,3,4,5] x) => (float[N,?,?,?,?] y)", "y = Transpose <perm=[0,4,2,1,3]> (x)", {}),
    "depth to space": ("(float[N,8,3,5] x) => (float[N,?,?,?] y)", "y = DepthToSpace <blocksize=2> (x)", {}),
    "depth to space, crd": ("(float[N,8,3,5] x) => (float[N,?,?,?] y)", 'y = DepthToSpace <blocksize=2, mode="CRD"> (x)', {}),
    "space to depth": ("(float[N,3,6,4] x) => (float[N,?,?,?] y)", "y = SpaceToDepth <blocksize=2> (x)", {}),
    "squeezed": ("(float[N,4,1,7] x) => (float[N,?,?] y)", "a = Squeeze (x, i) b = Unsqueeze (a, j) c = Sigmoid (b) y = Reshape (c, s)", {"i": np.int64([2]), "j": np.int64([1]), "s": np.int64([0, 2, -1])}),
    # Reductions
    "mean of the image": (IMAGE, "y = ReduceMean <axes=[2,3]> (x)", {}),
    "mean, axes gone": ("(float[N,4,9,7] x) => (float[N,?] y)", "y = ReduceMean <axes=[-1,-2], keepdims=0> (x)", {}),
    "sum of channels": (IMAGE, "y = ReduceSum (x, a)", {"a": np.int64([1])}),
    "of rows": (ROWS, "a = ReduceMax <axes=[1]> (x) b = ReduceMin <axes=[2]> (x) c = ReduceL2 <axes=[2]> (x) d = Add (a, b) y = Add (d, c)", {}),
    "l1, squares": (ROWS, "a = ReduceL1 <axes=[1]> (x) b = ReduceSumSquare <axes=[2]> (x) y = Add (a, b)", {}),
    # Normalisation
    "norm alone": (IMAGE, "a = Relu (x) y = BatchNormalization (a, s, t, m, v)", {"s": (4,), "t": (4,), "m": (4,), "v": np.linspace(.5, 2, 4, dtype=np.float32)}),
    "norm of rows": ("(float[N,4] x) => (float[N,4] y)", "y = BatchNormalization (x, s, t, m, v)", {"s": (4,), "t": (4,), "m": (4,), "v": np.linspace(.5, 2, 4, dtype=np.float32)}),
    "layer norm": (ROWS, "y = LayerNormalization <axis=-1, epsilon=0.01> (x, s, b)", {"s": (6,), "b": (6,)}),
    "layer norm of two axes": (ROWS, "y = LayerNormalization <axis=1> (x, s)", {"s": (5, 6)}),
    "layer norm in parts": (ROWS, "m = ReduceMean <axes=[-1]> (x) c = Sub (x, m) q = Pow (c, two) v = ReduceMean <axes=[-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (c, r) p = Mul (n, s) y = Add (p, b)", {"two": np.float32(2), "eps": np.float32(1e-5), "s": (6,), "b": (6,)}),
    "instance norm": (IMAGE, "y = InstanceNormalization (x, s, b)", {"s": (4,), "b": (4,)}),
    "group norm in parts": (IMAGE, "a = Reshape (x, g) b = InstanceNormalization (a, one, zero) y = Reshape (b, i)", {"g": np.int64([0, 2, -1]), "one": np.float32([1, 1]), "zero": np.float32([0, 0]), "i": np.int64([-1, 4, 9, 7])}),
    "response": (IMAGE, "y = LRN <size=3, alpha=0.5, beta=0.7, bias=2.0> (x)", {}),
    "unit length": (ROWS, "y = LpNormalization <axis=1> (x)", {}),
    # Resizing
    "nearest, twice": (IMAGE, 'y = Resize <mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (x, , s)', {"s": np.float32([1, 1, 2, 2])}),
    "nearest, as is": (IMAGE, 'y = Resize <mode="nearest"> (x, , s)', {"s": np.float32([1, 1, 2, 3])}),
    "linear": (IMAGE, 'y = Resize <mode="linear"> (x, , , z)', {"z": np.int64([1, 4, 13, 20]), "only": "one image"}),
    "linear, corners": (IMAGE, 'y = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, , s)', {"s": np.float32([1, 1, 2, 2])}),
    "linear, asymmetric": (IMAGE, 'y = Resize <mode="linear", coordinate_transformation_mode="asymmetric"> (x, , s)', {"s": np.float32([1, 1, 2, 2])}),
    "smaller by a crooked scale": (IMAGE, 'y = Resize <mode="linear"> (x, , s)', {"s": np.float32([1, 1, .6, .6])}),
    "cubic": (IMAGE, 'y = Resize <mode="cubic", coordinate_transformation_mode="pytorch_half_pixel"> (x, , s)', {"s": np.float32([1, 1, 2, 2])}),
    "cubic, other kernel": (IMAGE, 'y = Resize <mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1> (x, , s)', {"s": np.float32([1, 1, 2, 1])}),
    "nearest of rows": (ROWS, 'y = Resize <mode="nearest"> (x, , s)', {"s": np.float32([1, 1, 2])}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_ncnn_computes_as_onnx_runtime(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    weights = dict(weights)
    if weights.pop("only", ""):
        head = head.replace("[N,", "[1,")
    held(tmp_path, f"{head} {{ {body} }}", 18 if "Mish" in name else 17, **weights)


OLDER = {
    "softmax of all behind an axis": (11, "(float[N,4,9,7] x) => (float[N,?,?,?] y)", "y = Softmax <axis=1> (x)", {}),
    "limits as attributes": (9, IMAGE, "y = Clip <min=-0.5, max=0.25> (x)", {}),
    "slice by attributes": (9, IMAGE, "y = Slice <axes=[2,3], starts=[1,2], ends=[8,-1]> (x)", {}),
    "pad by attributes": (9, IMAGE, 'y = Pad <mode="reflect", pads=[0,0,1,2,0,0,3,0]> (x)', {}),
    "upsample": (9, IMAGE, 'y = Upsample <mode="nearest"> (x, s)', {"s": np.float32([1, 1, 2, 2])}),
    "resize of opset 10": (10, IMAGE, 'y = Resize <mode="nearest"> (x, s)', {"s": np.float32([1, 1, 2, 2])}),
    "squeeze by attributes": (11, "(float[N,4,1,7] x) => (float[N,?,?,?] y)", "a = Squeeze <axes=[2]> (x) y = Unsqueeze <axes=[1]> (a)", {}),
}  # fmt: skip
NEWER = {
    "Mish": (18, IMAGE, "y = Mish (x)", {}),
    "Mish behind a convolution": (18, IMAGE, "a = Conv (x, w) y = Mish (a)", {"w": (6, 4, 3, 3)}),
    "mean by an input": (18, IMAGE, "y = ReduceMean (x, a)", {"a": np.int64([2, 3])}),
    "gelu": (20, IMAGE, "y = Gelu (x)", {}),
    "gelu by tanh": (20, IMAGE, 'y = Gelu <approximate="tanh"> (x)', {}),
    "group norm": (21, IMAGE, "y = GroupNormalization <num_groups=2, epsilon=0.001> (x, s, b)", {"s": (4,), "b": (4,)}),
    "pad of some axes": (18, IMAGE, "y = Pad (x, p, , a)", {"p": np.int64([1, 2]), "a": np.int64([3])}),
}  # fmt: skip


@pytest.mark.parametrize("name", [*OLDER, *NEWER])
def test_other_opsets_say_the_same_in_other_words(name: str, tmp_path: Path):
    opset, head, body, weights = {**OLDER, **NEWER}[name]
    held(tmp_path, f"{head} {{ {body} }}", opset, **weights)


POSITIVE = {"Sqrt": "y = Sqrt (x)", "Log": "y = Log (x)", "one by the root": "y = Pow (x, e)", "a broken power": "y = Pow (x, f)", "log of sums": "a = ReduceLogSum <axes=[1]> (x) b = ReduceLogSumExp <axes=[1]> (x) y = Add (a, b)", "product": "y = ReduceProd <axes=[1]> (x)"}  # fmt: skip


@pytest.mark.parametrize("name", POSITIVE)
def test_what_is_for_positive_numbers(name: str, tmp_path: Path):
    constants = {"e": np.float32(-0.5), "f": np.float32(1.7)}
    used = {key: value for key, value in constants.items() if f", {key})" in POSITIVE[name]}
    held(tmp_path, f"{IMAGE} {{ {POSITIVE[name]} }}", low=0.1, **used)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_the_place_of_the_largest_is_found_without_a_layer_for_it(op: str, last: int, tmp_path: Path):
    text = f"""(float[N,5,6] x) => (int64[N,1,6] y, int64[N,5] z) {{ r = Round (x)
        y = {op} <axis=1, select_last_index={last}> (r) z = {op} <axis=-1, keepdims=0> (x) }}"""
    held(tmp_path, text)


ONE_LAYER = {
    "swish": "Swish", "hard swish of two": "HardSwish", "gelu of five": "GELU",
    "gelu, halved first": "GELU", "nearest, twice": "Interp", "linear, corners": "Interp",
    "cubic": "Interp", "softmax of channels": "Softmax", "depth to space": "PixelShuffle",
    "every second pixel": "Pooling", "clipped behind it": "Convolution",
    "norm and relu behind it": "Convolution", "hard swish behind it": "Convolution",
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_LAYER)
def test_what_ncnn_has_one_layer_for_is_one(name: str, tmp_path: Path):
    head, body, weights = CASES[name]
    found = layers(held(tmp_path, f"{head} {{ {body} }}", **weights))
    assert [kind for kind in found if kind not in ("Input", "Split", "Crop")] == [ONE_LAYER[name]]


SHUFFLES = {
    "ShuffleChannel": ("(float[N,6,3,5] x) => (float[N,6,3,5] y)", [0, 2, 3, 3, 5], [0, 2, 1, 3, 4], [0, 6, 3, 5]),
    "PixelShuffle": ("(float[N,8,3,5] x) => (float[N,2,6,10] y)", [0, 2, 2, 2, 3, 5], [0, 1, 4, 2, 5, 3], [0, 2, 6, 10]),
    "Permute": ("(float[N,8,3,5] x) => (float[N,2,6,10] y)", [0, 2, 2, 2, 3, 5], [0, 1, 4, 3, 5, 2], [0, 2, 6, 10]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHUFFLES)
def test_shuffles_as_exporters_write_them(kind: str, tmp_path: Path):
    head, split, perm, back = SHUFFLES[kind]
    body = f"a = Reshape (x, s) b = Transpose <perm={perm}> (a) y = Reshape (b, t)"
    found = held(tmp_path, f"{head} {{ {body} }}", s=np.int64(split), t=np.int64(back))
    assert kind in layers(found)
