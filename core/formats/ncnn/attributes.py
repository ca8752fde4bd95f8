"""What a node says of itself, in whichever way its opset writes it."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from core.formats.ncnn.net import Net
from core.formats.ncnn.refusal import Refused

Rule = Callable[[Net, ir.Node], None]


def given(node: ir.Node, index: int) -> ir.Value | None:
    """An input; None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def listed(net: Net, node: ir.Node, name: str, index: int) -> list[int] | None:
    """Whole numbers that are an attribute in older opsets and an input in newer ones.

    Raises:
        Refused: they are computed while the model runs.
    """
    if name in node.attributes:
        attribute = node.attributes[name]
        one = attribute.type == ir.AttributeType.INT
        return [attribute.as_int()] if one else list(attribute.as_ints())
    value = given(node, index)
    return None if value is None else [int(i) for i in net.known(value, name).reshape(-1)]


def flag(node: ir.Node, name: str) -> bool:
    """A switch that is off where nothing is said."""
    return node.attributes.get_int(name, 0) != 0


def number(net: Net, node: ir.Node, name: str, index: int, default: float) -> float:
    """A number that is an attribute in older opsets and an input in newer ones.

    Raises:
        Refused: it is computed while the model runs.
    """
    if name in node.attributes:
        return float(node.attributes[name].as_float())
    value = given(node, index)
    return default if value is None else float(net.known(value, name).reshape(-1)[0])


def floats_only(net: Net, node: ir.Node) -> None:
    """Refuse a node that computes with whole numbers.

    Raises:
        Refused: it does.
    """
    if not net.is_float(node.outputs[0]):
        raise Refused("it computes with whole numbers, and ncnn only with float32")
