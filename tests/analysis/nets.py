"""Small networks in the shapes that pruning must cope with, built with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

SIZE = 8


class Net:
    """Nodes and weights of a graph in the making; every method returns the output's name."""

    def __init__(self, inputs: dict[str, list[int | str]], opset: int = 17) -> None:
        self.random = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.opset = opset
        self.inputs = [
            helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in inputs.items()
        ]

    def weight(self, *shape: int, name: str = "") -> str:
        name = name or f"w{len(self.weights)}"
        scale = 1 / np.sqrt(max(np.prod(shape[1:]), 1)) if len(shape) > 1 else 1.0
        array = (self.random.normal(size=shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *numbers: int) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def const(self, array: Any) -> str:
        name = f"k{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def add(
        self, op: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any
    ) -> Any:
        name = name or f"{op}{len(self.nodes)}"
        made = [f"{name}_out{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def conv(
        self, x: str, a: int, b: int, k: int = 3, *, group: int = 1, bias: bool = True,
        name: str = "", **attributes: Any,
    ) -> str:  # fmt: skip
        feeds = [x, self.weight(b, a // group, k, k)] + ([self.weight(b)] if bias else [])
        attributes.setdefault("pads", [k // 2] * 4)
        return self.add("Conv", *feeds, group=group, name=name, **attributes)

    def norm(self, x: str, c: int) -> str:
        variance = self.const(self.random.uniform(0.5, 1.5, c))
        parts = (self.weight(c), self.weight(c), self.weight(c), variance)
        return self.add("BatchNormalization", x, *parts)

    def linear(self, x: str, a: int, b: int, name: str = "") -> str:
        y = self.add("MatMul", x, self.weight(a, b), name=name)
        return self.add("Add", y, self.weight(b))

    def model(self, *outputs: str) -> ir.Model:
        made = [helper.make_empty_tensor_value_info(o) for o in outputs]
        for info in made:
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        graph = helper.make_graph(self.nodes, "net", self.inputs, made, self.weights)
        proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9
        )
        proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)


def image(batch: int | str = "N", channels: int = 3) -> Net:
    return Net({"x": [batch, channels, SIZE, SIZE]})


def head(net: Net, x: str, c: int) -> ir.Model:
    """Pool, flatten, classify."""
    flat = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.add("Gemm", flat, net.weight(5, c), net.weight(5), transB=1, name="fc"))


def residual() -> ir.Model:
    net = image()
    x = net.add("Relu", net.norm(net.conv("x", 3, 16, name="stem", bias=False), 16))
    y = net.add("Relu", net.norm(net.conv(x, 16, 12, name="a", bias=False), 12))
    y = net.norm(net.conv(y, 12, 16, name="b", bias=False), 16)
    return head(net, net.add("Relu", net.add("Add", x, y)), 16)


def shuffle_v1() -> ir.Model:
    """Grouped 1x1, shuffle by Reshape and Transpose with a fixed batch target of 0, depthwise."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 16, name="stem"))
    y = net.conv(x, 16, 24, 1, group=2, name="group1")
    y = net.add("Reshape", y, net.ints(0, 2, 12, SIZE, SIZE))
    y = net.add("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = net.add("Reshape", y, net.ints(0, -1, SIZE, SIZE))
    y = net.conv(y, 24, 24, group=24, name="depthwise")
    y = net.conv(y, 24, 16, 1, group=2, name="group2")
    return head(net, net.add("Add", x, y), 16)


def shuffle_v2() -> ir.Model:
    """Split, one branch through convolutions, Concat, shuffle whose sizes are computed."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 16, name="stem"))
    left, right = net.add("Split", x, net.ints(8, 8), outputs=2, axis=1)
    right = net.add("Relu", net.conv(right, 8, 12, 1, name="in"))
    right = net.conv(right, 12, 12, group=12, name="depthwise")
    right = net.add("Relu", net.conv(right, 12, 8, 1, name="out"))
    y = net.add("Concat", left, right, axis=1)
    batch = net.add("Unsqueeze", net.add("Gather", net.add("Shape", y), net.ints(0)), net.ints(1))
    batch = net.add("Reshape", batch, net.ints(1))
    split = net.add("Concat", batch, net.ints(2, 8, SIZE, SIZE), axis=0)
    merge = net.add("Concat", batch, net.ints(16, SIZE, SIZE), axis=0)
    y = net.add("Transpose", net.add("Reshape", y, split), perm=[0, 2, 1, 3, 4])
    y = net.add("Reshape", y, merge)
    return head(net, net.conv(y, 16, 10, name="last"), 10)


def shuffle_traced() -> ir.Model:
    """Chunk and shuffle as a tracer writes them: ends and sizes are computed from Shape."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 16, name="stem"))
    for block in range(2):
        half = net.add("Div", net.add("Gather", net.add("Shape", x), net.ints(1)), net.ints(2))
        end = net.add("Mul", half, net.ints(2))
        left = net.add("Slice", x, net.ints(0), half, net.ints(1))
        right = net.add("Slice", x, half, end, net.ints(1))
        right = net.add("Relu", net.conv(right, 8, 12, 1, name=f"in{block}"))
        right = net.conv(right, 12, 8, 1, name=f"out{block}")
        x = net.add("Concat", left, right, axis=1)
        n, c, h, w = (net.add("Gather", net.add("Shape", x), net.ints(i)) for i in range(4))
        split = net.add("Concat", n, net.ints(2), net.add("Div", c, net.ints(2)), h, w, axis=0)
        turned = net.add("Transpose", net.add("Reshape", x, split), perm=[0, 2, 1, 3, 4])
        x = net.add("Reshape", turned, net.add("Concat", n, c, h, w, axis=0))
    return head(net, net.conv(x, 16, 10, name="last"), 10)


def vision_transformer() -> ir.Model:
    """Patches, attention with two heads, LayerNorm, an MLP with GELU spelled out."""
    net, width, heads = image(), 16, 2
    x = net.conv("x", 3, width, 4, strides=[4, 4], pads=[0, 0, 0, 0], name="patch")
    x = net.add("Transpose", net.add("Reshape", x, net.ints(0, width, 4)), perm=[0, 2, 1])
    x = net.add("Add", x, net.weight(1, 4, width))
    h = net.add("LayerNormalization", x, net.weight(width), net.weight(width))
    parts = []
    for part in "qkv":
        y = net.linear(h, width, width, name=part)
        y = net.add("Reshape", y, net.ints(0, 4, heads, width // heads))
        perm = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        parts.append(net.add("Transpose", y, perm=perm))
    q, k, v = parts
    scores = net.add("Mul", net.add("MatMul", q, k), net.const(0.35))
    y = net.add("MatMul", net.add("Softmax", scores, axis=-1), v)
    y = net.add("Reshape", net.add("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 4, width))
    x = net.add("Add", x, net.linear(y, width, width, name="project"))
    h = net.add("LayerNormalization", x, net.weight(width), net.weight(width))
    h = net.linear(h, width, 32, name="mlp1")
    half = net.add("Add", net.add("Erf", net.add("Div", h, net.const(1.414))), net.const(1))
    h = net.add("Mul", net.add("Mul", h, half), net.const(0.5))
    x = net.add("Add", x, net.linear(h, 32, width, name="mlp2"))
    x = net.add("ReduceMean", x, axes=[1], keepdims=0)
    return net.model(net.linear(x, width, 5, name="fc"))


def traced_attention() -> ir.Model:
    """Attention over heads that are folded into a dynamic batch, as PyTorch's module is traced."""
    net, width, heads = image(), 16, 2
    x = net.conv("x", 3, width, 4, strides=[4, 4], pads=[0, 0, 0, 0], name="patch")
    x = net.add("Reshape", x, net.ints(0, width, 4))
    x = net.add("Transpose", x, perm=[2, 0, 1])
    batch = net.add("Gather", net.add("Shape", x), net.ints(1))
    folded = net.add("Mul", batch, net.ints(heads))
    rows = net.add("Mul", batch, net.ints(4))
    parts = []
    for part in "qkv":
        y = net.linear(x, width, width, name=part)
        y = net.add("Reshape", y, net.add("Concat", net.ints(4), folded, net.ints(8), axis=0))
        parts.append(net.add("Transpose", y, perm=[1, 2, 0] if part == "k" else [1, 0, 2]))
    q, k, v = parts
    y = net.add("MatMul", net.add("Softmax", net.add("MatMul", q, k), axis=-1), v)
    y = net.add("Reshape", y, net.add("Concat", batch, net.ints(heads, 4, 8), axis=0))
    y = net.add("Transpose", y, perm=[2, 0, 1, 3])
    y = net.add("Reshape", y, net.add("Concat", rows, net.ints(width), axis=0))
    y = net.add("Gemm", y, net.weight(6, width), net.weight(6), transB=1, name="project")
    y = net.add("Reshape", y, net.add("Concat", net.ints(4), batch, net.ints(6), axis=0))
    y = net.add("ReduceMean", y, axes=[0], keepdims=0)
    return net.model(net.add("Gemm", y, net.weight(5, 6), net.weight(5), transB=1, name="fc"))


def segmentation() -> ir.Model:
    """Encoder, Resize to sizes read at run time, ConvTranspose, Concat; H and W dynamic."""
    net = Net({"x": ["N", 3, "H", "W"]})
    a = net.add("Relu", net.conv("x", 3, 8, name="enc1"))
    b = net.add(
        "Relu",
        net.conv(net.add("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), 8, 12, name="enc2"),
    )
    weight = net.weight(12, 10, 2, 2)
    up = net.add("ConvTranspose", b, weight, net.weight(10), strides=[2, 2], name="up")
    shape = net.add("Shape", b)
    lead = net.add("Slice", shape, net.ints(0), net.ints(2), net.ints(0))
    tail = net.add("Slice", shape, net.ints(2), net.ints(4), net.ints(0))
    sizes = net.add("Concat", lead, net.add("Mul", tail, net.ints(2, 2)), axis=0)
    big = net.add("Resize", b, "", "", sizes, mode="nearest")
    y = net.add("Concat", a, up, big, axis=1)
    y = net.add("Relu", net.conv(y, 30, 8, name="dec"))
    return net.model(net.conv(y, 8, 4, 1, name="classes"))


def squeeze_excite() -> ir.Model:
    net = image()
    x = net.conv("x", 3, 16, name="stem")
    x = net.add("Mul", x, net.add("HardSigmoid", x))
    g = net.add("GlobalAveragePool", x)
    g = net.add("Relu", net.conv(g, 16, 4, 1, name="squeeze"))
    g = net.add("Sigmoid", net.conv(g, 4, 16, 1, name="excite"))
    return head(net, net.conv(net.add("Mul", x, g), 16, 8, name="after"), 8)


def detector() -> ir.Model:
    """Two scales, shared head weights, boxes by Reshape and Transpose, a Concat of all."""
    net = image()
    a = net.add("Relu", net.conv("x", 3, 12, name="stem"))
    b = net.add("Relu", net.conv(a, 12, 12, strides=[2, 2], name="down"))
    tower, bias, out = net.weight(10, 12, 3, 3), net.weight(10), net.weight(14, 10, 1, 1)
    parts = []
    for level, (feature, cells) in enumerate(((a, 64), (b, 16))):
        y = net.add("Conv", feature, tower, bias, pads=[1, 1, 1, 1], name=f"tower{level}")
        y = net.add("Conv", net.add("Relu", y), out, name=f"boxes{level}")
        y = net.add("Reshape", y, net.ints(0, 2, 7, cells))
        y = net.add("Reshape", net.add("Transpose", y, perm=[0, 1, 3, 2]), net.ints(0, -1, 7))
        parts.append(y)
    return net.model(net.add("Concat", *parts, axis=1))


def super_resolution(mode: str) -> ir.Model:
    net = image()
    y = net.conv(net.add("Relu", net.conv("x", 3, 16, name="a")), 16, 24, name="b")
    y = net.add("DepthToSpace", y, blocksize=2, mode=mode)
    y = net.conv(y, 6, 8, name="c")
    y = net.add("SpaceToDepth", y, blocksize=2)
    return net.model(net.conv(y, 32, 3, name="d"))


def pixel_shuffle() -> ir.Model:
    net = image()
    y = net.conv(net.add("Relu", net.conv("x", 3, 16, name="a")), 16, 24, name="b")
    y = net.add("Reshape", y, net.ints(-1, 6, 2, 2, SIZE, SIZE))
    y = net.add("Transpose", y, perm=[0, 1, 4, 2, 5, 3])
    y = net.add("Reshape", y, net.ints(-1, 6, 2 * SIZE, 2 * SIZE))
    return net.model(net.conv(y, 6, 3, name="c"))


def channels_last() -> ir.Model:
    """As tf2onnx writes: NHWC in, Transposes, a Reshape that mixes channels and pixels, MatMul."""
    net = Net({"x": ["N", SIZE, SIZE, 3]})
    y = net.add("Transpose", "x", perm=[0, 3, 1, 2])
    y = net.add("Relu", net.conv(y, 3, 8, name="a"))
    y = net.add("Pad", y, net.ints(0, 0, 1, 1, 0, 0, 0, 0))
    y = net.add("Transpose", y, perm=[0, 2, 3, 1])
    y = net.add("Add", net.add("Mul", y, net.weight(8)), net.weight(1, 1, 1, 8))
    y = net.add("Reshape", y, net.ints(-1, 81 * 8))
    return net.model(net.linear(net.add("Relu", net.linear(y, 648, 12, name="b")), 12, 5, name="c"))


def layouts() -> ir.Model:
    """Channel Pad (option A shortcut), Slice, Gather, Squeeze, Min, Max, Pow, PRelu, Dropout."""
    net = image()
    x = net.add("PRelu", net.conv("x", 3, 8, name="a"), net.weight(8, 1, 1))
    wide = net.add("Pad", x, net.ints(0, 2, 0, 0, 0, 2, 0, 0))
    y = net.add("Add", wide, net.conv(x, 8, 12, name="b"))
    top = net.add("Slice", y, net.ints(3), net.ints(9), net.ints(1))
    some = net.add("Gather", y, net.ints(11, 0, 5, 5), axis=1)
    y = net.add("Concat", top, some, y, axis=1)
    y = net.add("Max", net.add("Min", y, net.weight(22, 1, 1)), net.weight(1, 22, 1, 1))
    y = net.add("Pow", y, net.const(2.0))
    y = net.add("Sub", y, net.add("Unsqueeze", net.weight(22), net.ints(1, 2)))
    y = net.add("Div", y, net.const(np.full((22, 1, 1), 3.0)))
    y = net.add("Dropout", net.add("AveragePool", y, kernel_shape=[SIZE, SIZE]))
    y = net.add("Squeeze", y, net.ints(2, 3))
    return net.model(net.add("Gemm", y, net.weight(22, 5), net.weight(1, 5), name="fc"))


def sizes_in_arithmetic() -> ir.Model:
    """A mean spelled with the channel count read from the tensor, and a computed Flatten."""
    net = image(batch=2)
    y = net.add("Relu", net.conv("x", 3, 8, name="a"))
    shape = net.add("Shape", y)
    channels = net.add("Cast", net.add("Gather", shape, net.ints(1)), to=1)
    y = net.add("Div", net.conv(y, 8, 6, name="b"), channels)
    pixels = net.add("Mul", net.ints(6), net.ints(SIZE * SIZE))
    target = net.add("Concat", net.add("Slice", shape, net.ints(0), net.ints(1)), pixels, axis=0)
    y = net.add("Reshape", y, target)
    return net.model(net.linear(y, 6 * SIZE * SIZE, 5, name="fc"))


def multiplier() -> ir.Model:
    """Depthwise with two filters per channel, transposed depthwise, InstanceNorm, grouped in 4."""
    net = image()
    x = net.conv("x", 3, 8, name="stem")
    x = net.conv(x, 8, 16, group=8, name="double")
    x = net.add("InstanceNormalization", x, net.weight(16), net.weight(16))
    x = net.add("ConvTranspose", x, net.weight(16, 1, 2, 2), group=16, strides=[2, 2], name="up")
    x = net.conv(x, 16, 24, group=4, name="grouped")
    return head(net, net.conv(x, 24, 8, 1, name="last"), 8)


def shared_constants() -> ir.Model:
    """One bias and one scale tensor that two unrelated layers happen to share; a tied weight."""
    net = image()
    bias, scale, tied = net.weight(8), net.weight(8, 1, 1), net.weight(8, 8, 3, 3)
    x = net.add("Conv", "x", net.weight(8, 3, 3, 3), bias, pads=[1, 1, 1, 1], name="a")
    x = net.add("Mul", x, scale)
    x = net.add("Relu", net.add("Conv", x, net.weight(8, 8, 3, 3), bias, pads=[1] * 4, name="b"))
    x = net.add("Mul", x, scale)
    x = net.add("Relu", net.add("Conv", x, tied, pads=[1, 1, 1, 1], name="t1"))
    x = net.add("Relu", net.add("Conv", x, tied, pads=[1, 1, 1, 1], name="t2"))
    return head(net, x, 8)


def mixer() -> ir.Model:
    """Products over tokens and over channels, with LayerNorm spelled out in between."""
    net = Net({"x": ["N", 6, 10]})
    mean = net.add("ReduceMean", "x", axes=[-1])
    x = net.add("Sub", "x", mean)
    deviation = net.add("Sqrt", net.add("ReduceMean", net.add("Mul", x, x), axes=[-1]))
    x = net.add("Div", x, net.add("Add", deviation, net.const(1e-3)))
    t = net.add("Transpose", x, perm=[0, 2, 1])
    t = net.linear(net.add("Relu", net.linear(t, 6, 9, name="tokens1")), 9, 6, name="tokens2")
    x = net.add("Add", x, net.add("Transpose", t, perm=[0, 2, 1]))
    x = net.linear(net.add("Relu", net.linear(x, 10, 20, name="mix1")), 20, 10, name="mix2")
    return net.model(x)


def old_style() -> ir.Model:
    """Opset 9: Slice, Split, Pad, Squeeze, Upsample and ReduceMean by attributes."""
    net = Net({"x": [2, 3, SIZE, SIZE]}, opset=9)
    x = net.add("Relu", net.conv("x", 3, 10, name="a"))
    top = net.add("Slice", x, axes=[1], starts=[2], ends=[9])
    left, right = net.add("Split", x, outputs=2, axis=1, split=[4, 6])
    right = net.add("Pad", right, pads=[0, 1, 0, 0, 0, 2, 0, 0])
    y = net.add("Concat", top, left, right, axis=1)
    y = net.add("Upsample", y, net.const([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    y = net.conv(y, 20, 12, name="b")
    y = net.add("Squeeze", net.add("ReduceMean", y, axes=[2, 3], keepdims=1), axes=[2, 3])
    return net.model(net.linear(y, 12, 5, name="fc"))


def late_style() -> ir.Model:
    """Opset 18: Split by a number of outputs, ReduceMean by an input, Pad with axes."""
    net = Net({"x": ["N", 3, SIZE, SIZE]}, opset=18)
    x = net.add("Relu", net.conv("x", 3, 10, name="a"))
    parts = net.add("Split", x, outputs=3, axis=1, num_outputs=3)
    y = net.add("Concat", parts[2], parts[0], net.conv(parts[1], 4, 6, name="b"), axis=1)
    y = net.add("Pad", y, net.ints(1, 2), "", net.ints(1))
    y = net.add("ReduceMean", y, net.ints(2, 3), keepdims=0)
    return net.model(net.linear(y, 15, 5, name="fc"))


def dense() -> ir.Model:
    """Every layer reads all that came before, normalised before the activation."""
    net = image()
    x, width = net.conv("x", 3, 8, name="stem"), 8
    for i in range(3):
        y = net.conv(net.add("Relu", net.norm(x, width)), width, 6, 1, name=f"squeeze{i}")
        y = net.conv(net.add("Relu", net.norm(y, 6)), 6, 4, name=f"grow{i}")
        x, width = net.add("Concat", x, y, axis=1), width + 4
    return head(net, x, width)


def modern_block() -> ir.Model:
    """Depthwise 7x7, LayerNorm over channels by Transpose, a wide MLP, a layer scale."""
    net = image()
    x = net.conv("x", 3, 12, name="stem")
    y = net.add("Transpose", net.conv(x, 12, 12, 7, group=12, name="wide"), perm=[0, 2, 3, 1])
    y = net.add("LayerNormalization", y, net.weight(12), net.weight(12))
    y = net.linear(net.add("Relu", net.linear(y, 12, 20, name="up")), 20, 12, name="down")
    y = net.add("Transpose", net.add("Mul", y, net.weight(12)), perm=[0, 3, 1, 2])
    return head(net, net.add("Add", x, y), 12)


def group_norm() -> ir.Model:
    """GroupNorm as exporters spell it: Reshape, InstanceNormalization, Reshape by Shape."""
    net = image()
    x = net.conv("x", 3, 12, name="a")
    y = net.add("Reshape", x, net.ints(0, 3, -1))
    y = net.add("InstanceNormalization", y, net.const(np.ones(3)), net.const(np.zeros(3)))
    y = net.add("Reshape", y, net.add("Shape", x))
    y = net.add("Add", net.add("Mul", y, net.weight(12, 1, 1)), net.weight(12, 1, 1))
    return head(net, net.conv(y, 12, 8, name="b"), 8)


def turned_weights() -> ir.Model:
    """Weights that reach their layer through Transpose, Reshape and Identity."""
    net = Net({"x": ["N", 6]})
    y = net.add("MatMul", "x", net.add("Transpose", net.weight(8, 6)), name="a")
    y = net.add("Gemm", y, net.add("Identity", net.weight(8, 10)), net.weight(10), name="b")
    kernel = net.add("Reshape", net.weight(7, 10, 1), net.ints(7, 10, 1, 1))
    y = net.add("Unsqueeze", y, net.ints(2, 3))
    return head(net, net.add("Conv", y, kernel, name="c"), 7)


def batch_of_anchors() -> ir.Model:
    """Constants tiled and expanded to a batch size that is read from a tensor with channels."""
    net = image()
    y = net.add("Relu", net.conv("x", 3, 12, name="a"))
    y = net.conv(y, 12, 6, name="b")
    batch = net.add("Slice", net.add("Shape", y), net.ints(0), net.ints(1))
    tile = net.add("Tile", net.weight(1, 4, 5), net.add("Concat", batch, net.ints(1, 1), axis=0))
    wide = net.add("Expand", net.weight(1, 4, 5), net.add("Concat", batch, net.ints(4, 5), axis=0))
    y = net.add("Gemm", net.add("Flatten", net.add("GlobalAveragePool", y)), net.weight(6, 20))
    y = net.add("Reshape", y, net.ints(0, 4, 5))
    return net.model(net.add("Add", net.add("Add", y, tile), wide))


def counts_that_escape() -> ir.Model:
    """The number of channels, times a batch that is dynamic, decides a shape: nothing may go."""
    net = image()
    y = net.conv("x", 3, 8, name="a")
    shape = net.add("Shape", y)
    batch, channels = (net.add("Gather", shape, net.ints(i)) for i in (0, 1))
    both = net.add("Mul", batch, channels)
    flat = net.add("Reshape", y, net.add("Concat", both, net.ints(64), axis=0))
    mean = net.add("ReduceMean", flat, axes=[0, 1], keepdims=1)
    y = net.conv(y, 8, 6, name="b")
    y = net.add("Add", y, net.add("Reshape", mean, net.ints(1, 1, 1, 1)))
    return head(net, y, 6)


NETS: dict[str, tuple[Callable[[], ir.Model], set[str]]] = {
    "residual": (residual, {"stem", "a", "b"}),
    "shuffle_v1": (shuffle_v1, {"stem", "group1", "depthwise", "group2"}),
    "shuffle_v2": (shuffle_v2, {"stem", "in", "depthwise", "out", "last"}),
    "shuffle_traced": (shuffle_traced, {"stem", "in0", "out0", "in1", "out1", "last"}),
    "vision_transformer": (vision_transformer, {"q", "k", "v", "mlp1"}),
    "traced_attention": (traced_attention, {"patch", "q", "k", "v", "project"}),
    "segmentation": (segmentation, {"enc1", "enc2", "up", "dec"}),
    "squeeze_excite": (squeeze_excite, {"stem", "squeeze", "excite", "after"}),
    "detector": (detector, {"stem", "down", "tower0", "tower1"}),
    "super_resolution_dcr": (lambda: super_resolution("DCR"), {"a", "b", "c"}),
    "super_resolution_crd": (lambda: super_resolution("CRD"), {"a", "b", "c"}),
    "pixel_shuffle": (pixel_shuffle, {"a", "b"}),
    "channels_last": (channels_last, {"a", "b"}),
    "layouts": (layouts, {"a", "b"}),
    "sizes_in_arithmetic": (sizes_in_arithmetic, {"a", "b"}),
    "multiplier": (multiplier, {"stem", "double", "up", "grouped", "last"}),
    "shared_constants": (shared_constants, {"a", "b", "t1", "t2"}),
    "old_style": (old_style, {"a", "b"}),
    "late_style": (late_style, {"a", "b"}),
    "dense": (dense, {"stem"} | {f"{n}{i}" for n in ("squeeze", "grow") for i in range(3)}),
    "modern_block": (modern_block, {"up"}),
    "group_norm": (group_norm, {"b"}),
    "turned_weights": (turned_weights, {"a", "b", "c"}),
    "batch_of_anchors": (batch_of_anchors, {"a", "b"}),
    "counts_that_escape": (counts_that_escape, {"b"}),
    "mixer": (mixer, {"tokens1", "mix1"}),
}
