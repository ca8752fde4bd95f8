"""Another opset of the standard operators for a graph: a newer one, or an older."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from core.errors import UnsupportedModel
from core.graph.files import first_line, parse, serialize


def raised(graph: ir.Model, version: int) -> ir.Model:
    """A copy of `graph` of at least opset `version`; what it computes is for the caller to check.

    Raises:
        UnsupportedModel: onnx's converter does not know how.
    """
    current = graph.opset_imports.get("", 0)
    if current >= version:
        return graph.clone()
    return at_opset(graph, version)


def at_opset(graph: ir.Model, version: int) -> ir.Model:
    """A copy of `graph` at opset `version`, up or down, by onnx's converter.

    Raises:
        UnsupportedModel: the converter does not know how.
    """
    current = graph.opset_imports.get("", 0)
    proto = onnx.ModelProto.FromString(serialize(graph))
    try:
        converted = onnx.version_converter.convert_version(proto, version)
    except Exception as error:  # the converter's C++ errors share no other base
        raise UnsupportedModel(
            f"The model is of opset {current} and cannot be converted to {version}: "
            f"{first_line(error)}"
        ) from None
    return parse(converted.SerializeToString(), "the converted model")
