"""Activations: each a layer of its own where the layer before it does not take it over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from core.formats.ncnn.attributes import Rule, floats_only
from core.formats.ncnn.layers import Parameter, Weight
from core.formats.ncnn.net import Net
from core.formats.ncnn.operators.elementwise import ADD, DIV, UNARY
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import along
from core.formats.ncnn.tail import limits

PLAIN = {"Sigmoid": "Sigmoid", "Tanh": "TanH", "Mish": "Mish", "Erf": "Erf"}


def relu(net: Net, node: ir.Node) -> None:
    """Relu and LeakyRelu."""
    leaky = node.op_type == "LeakyRelu"
    slope = node.attributes.get_float("alpha", 0.01) if leaky else 0.0
    layer(net, node, "ReLU", {0: slope} if leaky else {})


def plain(net: Net, node: ir.Node) -> None:
    """What has a layer of its own, and no parameters."""
    layer(net, node, PLAIN[node.op_type])


def clip(net: Net, node: ir.Node) -> None:
    """Clip between constant limits."""
    low, high = limits(net, node)
    layer(net, node, "Clip", {0: low, 1: high})


def hard_sigmoid(net: Net, node: ir.Node) -> None:
    """HardSigmoid, and HardSwish, which is x times that of x."""
    swish = node.op_type == "HardSwish"
    alpha = 1 / 6 if swish else node.attributes.get_float("alpha", 0.2)
    beta = 0.5 if swish else node.attributes.get_float("beta", 0.5)
    layer(net, node, node.op_type, {0: alpha, 1: beta})


def elu(net: Net, node: ir.Node) -> None:
    """Elu and Celu."""
    layer(net, node, node.op_type.upper(), {0: node.attributes.get_float("alpha", 1.0)})


def selu(net: Net, node: ir.Node) -> None:
    """Selu."""
    alpha = node.attributes.get_float("alpha", 1.6732632)
    layer(net, node, "SELU", {0: alpha, 1: node.attributes.get_float("gamma", 1.050701)})


def gelu(net: Net, node: ir.Node) -> None:
    """Gelu, exact or by tanh."""
    fast = node.attributes.get_string("approximate", "none") == "tanh"
    layer(net, node, "GELU", {0: int(fast)})


def softplus(net: Net, node: ir.Node) -> None:
    """The positive part of x, and ncnn's own of -|x|: of x that is infinite from 89 on."""
    floats_only(net, node)
    blob, name = net.blob(node.inputs[0]), node.name or ""
    size = net.add("AbsVal", f"{name}_size", (blob.name,), blob.form)
    turned = net.add("UnaryOp", f"{name}_turned", (size.name,), blob.form, {0: UNARY["Neg"]})
    rest = net.add("Softplus", f"{name}_rest", (turned.name,), blob.form)
    positive = net.add("ReLU", f"{name}_positive", (blob.name,), blob.form)
    sources = (positive.name, rest.name)
    net.put(node.outputs[0], net.add("BinaryOp", name, sources, blob.form, {0: ADD}))


def softsign(net: Net, node: ir.Node) -> None:
    """Softsign: x / (1 + |x|)."""
    blob, name = net.blob(node.inputs[0]), node.name or ""
    size = net.add("AbsVal", f"{name}_size", (blob.name,), blob.form)
    more = net.add("BinaryOp", f"{name}_more", (size.name,), blob.form, {0: ADD, 1: 1, 2: 1.0})
    sources = (blob.name, more.name)
    net.put(node.outputs[0], net.add("BinaryOp", name, sources, blob.form, {0: DIV}))


def prelu(net: Net, node: ir.Node) -> None:
    """PRelu with one slope, or one for each channel."""
    shape = net.shape(node.inputs[0])
    slope = net.weight(node.inputs[1], "slope")
    if slope.size == 1:
        layer(net, node, "PReLU", {0: 1}, slope)
        return
    wide = (*(1,) * (len(shape) - slope.ndim), *slope.shape)
    axis = next((i for i, size in enumerate(wide) if size != 1), 0)
    if slope.size != wide[axis] or any(size != 1 for size in shape[:axis]):
        raise Refused("its slopes differ along more than the channels")
    form, place = along(shape, axis)
    if place:
        raise Refused("its slopes differ along more than the channels")
    blob = net.as_form(net.blob(node.inputs[0]), form)
    flat = slope.reshape(-1)
    made = net.add("PReLU", node.name or "", (blob,), form, {0: flat.size}, [Weight(flat)])
    net.put(node.outputs[0], made)


def layer(
    net: Net,
    node: ir.Node,
    kind: str,
    parameters: Mapping[int, Parameter] | None = None,
    weight: np.ndarray | None = None,
) -> None:
    """A layer that changes each number by itself, whatever the form of the blob."""
    floats_only(net, node)
    blob = net.blob(node.inputs[0])
    weights = [] if weight is None else [Weight(weight.reshape(-1))]
    made = net.add(kind, node.name or "", (blob.name,), blob.form, parameters, weights)
    net.put(node.outputs[0], made)


OPERATORS: Mapping[str, Rule] = {
    "Relu": relu, "LeakyRelu": relu, **dict.fromkeys(PLAIN, plain), "Clip": clip,
    "HardSigmoid": hard_sigmoid, "HardSwish": hard_sigmoid, "Elu": elu, "Celu": elu, "Selu": selu,
    "Gelu": gelu, "Softplus": softplus, "Softsign": softsign, "PRelu": prelu,
}  # fmt: skip
