"""Outputs of unknown rank: the checker wants a shape for each, no runtime does.

A Loop whose body changes the shape of what it carries gives such an output. For the checker alone,
its place is taken by its Shape, whose rank is known.
"""

from __future__ import annotations

import onnx

INT64 = onnx.TensorProto.INT64


def with_ranks(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` itself, or a copy for the checker in which no output is of unknown rank."""
    unknown = [output.name for output in proto.graph.output if _is_unranked(output)]
    if not unknown:
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    names = {name for node in proto.graph.node for name in (*node.input, *node.output)}
    for output in copy.graph.output:
        if output.name in unknown:
            shape = _unused(f"{output.name}_shape", names)
            copy.graph.node.append(onnx.helper.make_node("Shape", [output.name], [shape]))
            output.CopyFrom(onnx.helper.make_tensor_value_info(shape, INT64, [None]))
    return copy


def _is_unranked(output: onnx.ValueInfoProto) -> bool:
    kind = output.type
    return kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")


def _unused(stem: str, taken: set[str]) -> str:
    while stem in taken:
        stem += "_"
    taken.add(stem)
    return stem
