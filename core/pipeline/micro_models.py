"""Nets of one layer, or of the chain that would replace it, written to be timed.

The chain stands between a convolution that makes its input and a tap that reads one pixel of its
output, so that it runs in the memory layout that it would have inside a network, and what the
caller's tensors cost is not counted. Every copy has weights of its own (runtimes merge equal
nodes) and reads the same input; the taps are added up:

    x -> stem -+-> chain -> tap -+
               +-> chain -> tap -+-> Add -> y
               ...

The time of a copy is (time of many - time of one) / (copies - 1), less that of a tap; an empty
chain gives a net of taps only. A tap is a MaxPool whose stride jumps over everything but a corner.

Approximate: a layer of a real net reads what the one before has just written; here all copies find
the same input in the cache.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from core import graph as graphs
from core.errors import UnsupportedModel
from core.records import TensorSpec, to_json
from core.timings import Chain, LayerSignature, MicroModel

OPSET, IR_VERSION = 17, 8
WORK = 6e7  # MACs that all copies together should have: about a millisecond on one core
FEWEST, MOST = 3, 9
WEIGHT_BYTES = 64 << 20
STEM_CHANNELS = 4
SCALE = np.float32(0.05)
PRODUCTS = ("Gemm", "MatMul")
KNOWN = frozenset({"Conv", "ConvTranspose", "Concat", *PRODUCTS})


def write(chain: Chain, folder: Path) -> MicroModel:
    """Write both files of `chain`, named by what they time, unless they are there.

    Raises:
        UnsupportedModel: a layer of a kind that is not known here.
    """
    if unknown := [layer.op_type for layer in chain if layer.op_type not in KNOWN]:
        raise UnsupportedModel(f"No micro-model is known for {unknown[0]}.")
    copies = _copies(chain)
    name = hashlib.sha256(json.dumps(to_json(chain)).encode()).hexdigest()[:16]
    paths = [folder / f"{name}_{count}.onnx" for count in (1, copies)]
    for path, count in zip(paths, (1, copies), strict=True):
        if not path.exists():
            graphs.write(_model(chain, count).SerializeToString(), path)
    x, y = _input(chain[0]), TensorSpec("y", "float32", ("?",))
    return MicroModel(chain, paths[0], paths[1], copies, (x,), (y,))


def _copies(chain: Chain) -> int:
    macs = max(1, sum(layer.macs for layer in chain))
    weights = max(1, sum(layer.parameters for layer in chain)) * 4
    affordable = max(FEWEST - 1, WEIGHT_BYTES // weights)
    return int(min(MOST, affordable, max(FEWEST, WORK // macs)))


def _input(layer: LayerSignature) -> TensorSpec:
    if layer.op_type in PRODUCTS:
        return TensorSpec("x", "float32", (layer.batch, *layer.size, layer.inputs))
    return TensorSpec("x", "float32", (layer.batch, STEM_CHANNELS, *layer.size))


def _model(chain: Chain, copies: int) -> onnx.ModelProto:
    net = _Net(np.random.default_rng(0), chain[0].size)
    spec = _input(chain[0])
    start = net.stem(chain[0])
    total = ""
    for copy in range(copies):
        value = start
        for layer in chain:
            value = net.layer(layer, value)
        tapped = net.tap(chain[-1], value, copy)
        total = net.add("Add", total, tapped) if total else tapped
    net.nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        net.nodes, "micro",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, spec.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in net.weights.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return onnx.shape_inference.infer_shapes(model)


@dataclass
class _Net:
    """The nodes and weights of a micro-model while it is written."""

    rng: np.random.Generator
    size: tuple[int, ...]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    residuals: dict[tuple[int, ...], str] = field(default_factory=dict)

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """A node; the name of its output."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name, **attributes))
        return name

    def weight(self, values: Any) -> str:
        """A constant array or NumPy scalar; its name."""
        name = f"w_{len(self.weights)}"
        self.weights[name] = np.asarray(values)
        return name

    def random(self, *shape: int, fan_in: int = 1) -> str:
        """Weights that keep activations of about unit size: denormal numbers would be slow."""
        values = self.rng.standard_normal(shape) / math.sqrt(fan_in)
        return self.weight(values.astype(np.float32))

    def stem(self, layer: LayerSignature) -> str:
        """What makes the input of the chain."""
        if layer.op_type in PRODUCTS:
            return self._quantized(layer, self.add("Relu", "x"))
        ones = (1,) * len(layer.size)
        weight = self.random(layer.inputs, STEM_CHANNELS, *ones, fan_in=STEM_CHANNELS)
        made = self.add("Conv", "x", weight, self.random(layer.inputs), kernel_shape=ones)
        return self._quantized(layer, self.add("Relu", made))

    def layer(self, layer: LayerSignature, value: str) -> str:
        """One layer with what is fused behind it."""
        if layer.op_type == "Concat":
            copies = layer.outputs // layer.inputs
            return self.add("Concat", *[value] * copies, axis=1) if copies > 1 else value
        made = getattr(self, f"_{layer.op_type.lower()}")(layer, value)
        for op_type in layer.fused:
            made = self._behind(op_type, layer, made)
        return self._quantized(layer, made)

    def _behind(self, op_type: str, layer: LayerSignature, value: str) -> str:
        if op_type == "Add":
            return self.add("Add", value, self._residual(layer))
        if op_type == "Clip":
            bounds = (self.weight(np.float32(bound)) for bound in (0.0, 6.0))
            return self.add("Clip", value, *bounds)
        return self.add(op_type, value)

    def _residual(self, layer: LayerSignature) -> str:
        """A tensor of the layer's output shape, made once for all copies."""
        shape = (layer.batch, layer.outputs, *layer.output_size)
        if layer.op_type in PRODUCTS:
            shape = (layer.batch, *layer.size, layer.outputs)
        if shape not in self.residuals:
            self.residuals[shape] = self._made(layer, shape)
        return self.residuals[shape]

    def _made(self, layer: LayerSignature, shape: tuple[int, ...]) -> str:
        if layer.op_type in PRODUCTS:
            return self.add("MatMul", "x", self.random(layer.inputs, shape[-1]))
        ones = (1,) * len(layer.size)
        weight = self.random(layer.outputs, STEM_CHANNELS, *ones, fan_in=STEM_CHANNELS)
        if shape[2:] == self.size:
            return self.add("Conv", "x", weight, kernel_shape=ones)
        pooled = self._fitted(layer.batch, shape[2:])
        return self.add("Conv", pooled, weight, kernel_shape=ones)

    def _fitted(self, batch: int, wanted: tuple[int, ...]) -> str:
        """The input brought to another spatial size."""
        sizes = self.weight(np.array([batch, STEM_CHANNELS, *wanted], np.int64))
        return self.add("Resize", "x", "", "", sizes, mode="nearest")

    def _conv(self, layer: LayerSignature, value: str) -> str:
        shape = (layer.outputs, layer.inputs // layer.group, *layer.kernel)
        weight = self._weight(layer, shape, math.prod(shape[1:]))
        return self.add(
            "Conv", value, weight, self._bias(layer), kernel_shape=layer.kernel,
            strides=layer.strides, dilations=layer.dilations, pads=layer.pads, group=layer.group,
        )  # fmt: skip

    def _convtranspose(self, layer: LayerSignature, value: str) -> str:
        shape = (layer.inputs, layer.outputs // layer.group, *layer.kernel)
        weight = self._weight(layer, shape, layer.inputs)
        return self.add(
            "ConvTranspose", value, weight, self._bias(layer), kernel_shape=layer.kernel,
            strides=layer.strides, dilations=layer.dilations, pads=layer.pads, group=layer.group,
        )  # fmt: skip

    def _gemm(self, layer: LayerSignature, value: str) -> str:
        weight = self._weight(layer, (layer.outputs, layer.inputs), layer.inputs)
        return self.add("Gemm", value, weight, self._bias(layer), transB=1)

    def _matmul(self, layer: LayerSignature, value: str) -> str:
        weight = self._weight(layer, (layer.inputs, layer.outputs), layer.inputs)
        return self.add("MatMul", value, weight)

    def _weight(self, layer: LayerSignature, shape: tuple[int, ...], fan_in: int) -> str:
        if layer.precision == "f32":
            return self.random(*shape, fan_in=fan_in)
        values = self.rng.integers(-127, 128, shape, np.int8)
        scale = self.weight(np.float32(0.02 / math.sqrt(fan_in)))
        zero = self.weight(np.int8(0))
        return self.add("DequantizeLinear", self.weight(values), scale, zero)

    def _bias(self, layer: LayerSignature) -> str:
        return self.random(layer.outputs)

    def _quantized(self, layer: LayerSignature, value: str) -> str:
        """`value` through Quantize and Dequantize, as a quantized network has it everywhere."""
        if layer.precision == "f32":
            return value
        scale, zero = self.weight(SCALE), self.weight(np.uint8(0 if "Relu" in layer.fused else 128))
        down = self.add("QuantizeLinear", value, scale, zero)
        return self.add("DequantizeLinear", down, scale, zero)

    def tap(self, layer: LayerSignature, value: str, copy: int) -> str:
        """One corner of `value`; each copy another window, so that no two taps are equal nodes."""
        if layer.op_type in PRODUCTS:
            return value
        size = layer.output_size
        window = [1 + copy // 3 ** (axis % 2) % 3 for axis in range(len(size))]
        window = [min(w, n) for w, n in zip(window, size, strict=True)]
        return self._quantized(layer, self.add("MaxPool", value, kernel_shape=window, strides=size))
