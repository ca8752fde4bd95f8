"""Attributes of a node, and what older opsets keep in an attribute and newer ones in an input."""

from __future__ import annotations

import onnx_ir as ir

from core.formats.tflite.net import Net
from core.formats.tflite.refusal import Refused


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer."""
    found = node.attributes.get(name)
    return default if found is None else found.as_int()


def real(node: ir.Node, name: str, default: float) -> float:
    """A number."""
    found = node.attributes.get(name)
    return default if found is None else found.as_float()


def text(node: ir.Node, name: str, default: str) -> str:
    """A word."""
    found = node.attributes.get(name)
    return default if found is None else found.as_string()


def integers(node: ir.Node, name: str) -> list[int] | None:
    """A list; None where it is left out."""
    found = node.attributes.get(name)
    return None if found is None else list(found.as_ints())


def given(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be left out."""
    return node.inputs[index] if len(node.inputs) > index else None


def listed(net: Net, node: ir.Node, index: int, name: str) -> list[int] | None:
    """Integers of an attribute, or of the input that took its place; None where left out.

    Raises:
        Refused: they are computed while the model runs.
    """
    value = given(node, index)
    if value is None:
        return integers(node, name)
    return [int(i) for i in net.known(value, name).ravel()]


def scalar(net: Net, node: ir.Node, index: int, name: str, default: float) -> float:
    """A number of an attribute, or of the input that took its place.

    Raises:
        Refused: it is computed while the model runs.
    """
    value = given(node, index)
    if value is None:
        return real(node, name, default)
    found = net.known(value, name)
    if found.size != 1:
        raise Refused(f"its {name} is not one number")
    return float(found.ravel()[0])
