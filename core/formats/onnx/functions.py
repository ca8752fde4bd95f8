"""Functions local to a model: how large it becomes once they are inlined, known before they are.

Thirty functions that call one another twice make 2^30 nodes, and stall every tool that inlines
them. So the size is counted first, over the graph of calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from core.errors import InvalidModel, UnsupportedModel

MAX_NODES = 20_000
Key = tuple[str, str, str]


def key_of(item: onnx.FunctionProto | onnx.NodeProto) -> Key:
    """What a call and a function agree on: domain, name, overload."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return ("" if item.domain == "ai.onnx" else item.domain, name, item.overload)


def nodes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in graphs_of(node):
            yield from nodes_of(graph.node)


def graphs_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The subgraphs of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def check_functions(model: onnx.ModelProto) -> int:
    """How many nodes the model has once its functions are inlined.

    Raises:
        InvalidModel: two functions of one name, recursion, or a call with too many arguments.
        UnsupportedModel: it would be too large.
    """
    functions: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        if key_of(function) in functions:
            raise InvalidModel(f"Two functions are named {function.name[:80]!r}.")
        functions[key_of(function)] = function
    sizes: dict[Key, int] = {}
    for key in functions:
        _measure(key, functions, sizes)
    total = _size(model.graph.node, functions, sizes)
    if total > MAX_NODES:
        raise UnsupportedModel(
            f"The model has {total:,} nodes, functions inlined; {MAX_NODES:,} are the limit."
        )
    return total


def _measure(root: Key, functions: dict[Key, onnx.FunctionProto], sizes: dict[Key, int]) -> None:
    """Depth first without recursion: a chain of calls may be longer than Python's stack."""
    open_calls: list[Key] = [root]
    while open_calls:
        key = open_calls[-1]
        if key in sizes:
            open_calls.pop()
            continue
        calls = {key_of(node) for node in nodes_of(functions[key].node)} & functions.keys()
        waiting = [call for call in calls if call not in sizes]
        if looped := [call for call in waiting if call in open_calls]:
            raise InvalidModel(f"Function {looped[0][1][:80]!r} calls itself.")
        if waiting:
            open_calls.append(waiting[0])
            continue
        sizes[key] = _size(functions[key].node, functions, sizes)
        open_calls.pop()


def _size(
    nodes: Iterable[onnx.NodeProto],
    functions: dict[Key, onnx.FunctionProto],
    sizes: dict[Key, int],
) -> int:
    total = 0
    for node in nodes_of(nodes):
        called = functions.get(key_of(node))
        if called is None:
            total += 1
            continue
        if len(node.input) > len(called.input) or len(node.output) > len(called.output):
            raise InvalidModel(
                f"A call of function {called.name[:80]!r} has more arguments than it takes."
            )
        total += sizes[key_of(node)]
    return total
