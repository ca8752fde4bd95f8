"""The structure of an upload, held to the specification by our own reading of it.

`onnx.checker` passes files that end runtimes by a signal, so it comes second. Here: versions,
names, types, single assignment, topological order, operators with their arguments and attributes,
in the graph, in every subgraph and in every function.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import AttributeProto

from core.errors import InvalidModel, UnsupportedModel
from core.formats.onnx.functions import Key, graphs_of, key_of
from core.formats.onnx.signature import check_interface, checked_name, distinct

IR_VERSIONS = range(3, 14)
OPSETS = range(1, 27)
ML_OPSETS = range(1, 6)
DOMAINS = ("", "ai.onnx.ml")
VENDOR = ("com.microsoft",)
FORBIDDEN = {"EPContext": "loads a compiled file by its path"}
MAX_METADATA = 4096
MAX_DEPTH = 16
_LAST_ATTRIBUTE_TYPE = AttributeProto.TYPE_PROTOS
_TYPES = dict(AttributeProto.AttributeType.items())
_VALUE_OF = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
    AttributeProto.TYPE_PROTO: "tp",
}


def check_model(model: onnx.ModelProto) -> None:
    """Hold a parsed upload to the specification.

    Raises:
        InvalidModel: it breaks a rule; the message names the rule and the place.
        UnsupportedModel: a version, domain or operator that Lathe does not take.
    """
    if not model.HasField("graph"):
        raise InvalidModel("The file holds no graph: it is not an ONNX model.")
    if model.ir_version not in IR_VERSIONS:
        raise UnsupportedModel(
            f"IR version {model.ir_version} is not one of {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}.",
            "Export the model again with a current exporter.",
        )
    if len(model.metadata_props) > MAX_METADATA:
        raise UnsupportedModel(f"The model carries {len(model.metadata_props):,} metadata entries.")
    opsets = _opsets(model.opset_import)
    functions = {key_of(function): function for function in model.functions}
    for function in model.functions:
        _check_function(function, opsets, functions)
    graph = model.graph
    if not graph.node:
        raise InvalidModel("The graph has no nodes: there is nothing to run.")
    if not graph.output:
        raise InvalidModel("The graph has no outputs.")
    check_interface(graph)
    _check_graph(graph, frozenset(), _Rules(opsets, functions, in_function=False))


def _opsets(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in imports:
        domain = "" if item.domain == "ai.onnx" else checked_name(item.domain, "a domain")
        if found.setdefault(domain, item.version) != item.version:
            raise InvalidModel(f"Opset of domain {domain or 'ai.onnx'!r} is imported twice.")
    if not found:
        raise InvalidModel("The model imports no opset, so its operators have no meaning.")
    for domain, allowed in (("", OPSETS), ("ai.onnx.ml", ML_OPSETS)):
        if domain in found and found[domain] not in allowed:
            raise UnsupportedModel(
                f"Opset {found[domain]} of {domain or 'ai.onnx'} is not one of "
                f"{allowed[0]} to {allowed[-1]}.",
                "Export the model again for opset 17, which every backend here runs.",
            )
    return found


class _Rules:
    """What holds in the graph that is being read."""

    def __init__(
        self,
        opsets: dict[str, int],
        functions: dict[Key, onnx.FunctionProto],
        in_function: bool,
        depth: int = 0,
    ) -> None:
        self.opsets, self.functions, self.in_function = opsets, functions, in_function
        self.depth = depth

    def nested(self) -> _Rules:
        """The rules one subgraph deeper.

        Raises:
            UnsupportedModel: too deep; protobuf's own limit is near.
        """
        if self.depth == MAX_DEPTH:
            raise UnsupportedModel(f"Subgraphs are nested more than {MAX_DEPTH} deep.")
        return _Rules(self.opsets, self.functions, self.in_function, self.depth + 1)


def _check_function(
    function: onnx.FunctionProto,
    opsets: dict[str, int],
    functions: dict[Key, onnx.FunctionProto],
) -> None:
    where = f"function {checked_name(function.name, 'a function')[:80]!r}"
    inputs = distinct(function.input, f"inputs of {where}")
    rules = _Rules(opsets | _opsets(function.opset_import), functions, in_function=True)
    known = _check_nodes(function.node, inputs, rules)
    _require(function.output, known, where)


def _check_graph(graph: onnx.GraphProto, outer: frozenset[str], rules: _Rules) -> None:
    inputs = distinct([value.name for value in graph.input], "inputs of the graph")
    weights = distinct([tensor.name for tensor in graph.initializer], "initializers")
    distinct([value.name for value in graph.output], "outputs of the graph")
    known = _check_nodes(graph.node, inputs | weights, rules, outer)
    _require([value.name for value in graph.output], known | outer, "the graph")


def _check_nodes(
    nodes: Sequence[onnx.NodeProto],
    given: set[str],
    rules: _Rules,
    outer: frozenset[str] = frozenset(),
) -> set[str]:
    """The names that are known after the last node."""
    known = set(given)
    for node in nodes:
        where = f"node {(checked_name(node.name, 'a node') or str(node.op_type))[:80]!r}"
        checked_name(node.op_type, "an operator")
        for name in node.input:
            if checked_name(name, where) and name not in known and name not in outer:
                raise InvalidModel(_undefined(name, where, nodes))
        _check_operator(node, where, rules)
        _check_attributes(node, where, rules)
        for graph in graphs_of(node):
            _check_graph(graph, outer | known, rules.nested())
        for name in node.output:
            if checked_name(name, where) and name in known:
                raise InvalidModel(f"{name[:80]!r} is written twice, the second time by {where}.")
            if name:
                known.add(name)
    return known


def _undefined(name: str, where: str, nodes: Sequence[onnx.NodeProto]) -> str:
    if any(name in later.output for later in nodes):
        return (
            f"The {where} reads {name[:80]!r} before it is computed: the nodes are not in "
            "topological order, or form a cycle."
        )
    return f"The {where} reads {name[:80]!r}, which nothing computes."


def _require(names: Iterable[str], known: set[str] | frozenset[str], where: str) -> None:
    for name in names:
        if checked_name(name, where) not in known:
            raise InvalidModel(f"The output {name[:80]!r} of {where} is computed by no node.")


def _check_operator(node: onnx.NodeProto, where: str, rules: _Rules) -> None:
    domain, name, _ = key_of(node)
    if key_of(node) in rules.functions:
        return
    if domain in VENDOR and domain in rules.opsets and name not in FORBIDDEN:
        return
    if name in FORBIDDEN:
        raise UnsupportedModel(f"The {where} is an {name}, which {FORBIDDEN[name]}; refused.")
    if domain not in rules.opsets:
        raise InvalidModel(f"The {where} is of domain {domain[:80]!r}, which is not imported.")
    if domain not in DOMAINS:
        raise UnsupportedModel(
            f"The {where} is {domain[:80]}.{name[:80]}, an operator that no backend here knows.",
            "Export the model with standard ONNX operators only.",
        )
    schema = _schema(name, rules.opsets[domain], domain)
    if schema is None:
        raise UnsupportedModel(
            f"The {where} is {name[:80]!r}: no such operator in opset {rules.opsets[domain]}."
        )
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise InvalidModel(
            f"The {where} ({name}) has {len(node.input)} inputs; it takes "
            f"{schema.min_input} to {schema.max_input}."
        )
    if not schema.min_output <= len(node.output) <= schema.max_output:
        raise InvalidModel(f"The {where} ({name}) has {len(node.output)} outputs.")
    _check_against(schema, node, where)


@functools.lru_cache(maxsize=4096)
def _schema(name: str, opset: int, domain: str) -> onnx.defs.OpSchema | None:
    try:
        schema = onnx.defs.get_schema(name, opset, domain)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def _check_against(schema: onnx.defs.OpSchema, node: onnx.NodeProto, where: str) -> None:
    given = {attribute.name for attribute in node.attribute}
    for attribute in node.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            raise InvalidModel(
                f"The {where} has an attribute {str(attribute.name)[:80]!r}, which "
                f"{schema.name} does not know."
            )
        if attribute.type != _TYPES.get(_kind(known)) and not attribute.ref_attr_name:
            raise InvalidModel(
                f"The attribute {attribute.name!r} of the {where} has the wrong type."
            )
    for name, known in schema.attributes.items():
        if known.required and name not in given:
            raise InvalidModel(f"The {where} lacks the attribute {name!r}.")
    for index, formal in enumerate(schema.inputs[: schema.min_input]):
        if index < len(node.input) and not node.input[index] and _is_single(formal):
            raise InvalidModel(f"The {where} lacks its input {formal.name!r}.")


def _kind(attribute: onnx.defs.OpSchema.Attribute) -> str:
    kind: Any = attribute.type  # the stubs do not know that it is an enum
    return str(kind.name)


def _is_single(formal: onnx.defs.OpSchema.FormalParameter) -> bool:
    return bool(formal.option == onnx.defs.OpSchema.FormalParameterOption.Single)


def _check_attributes(node: onnx.NodeProto, where: str, rules: _Rules) -> None:
    distinct([attribute.name for attribute in node.attribute], f"attributes of the {where}")
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if not rules.in_function:
                raise InvalidModel(f"The {where} refers to an attribute of no function.")
            continue
        kind = attribute.type
        if not 0 < kind <= _LAST_ATTRIBUTE_TYPE:
            raise InvalidModel(f"The attribute {attribute.name!r} of the {where} has no type.")
        if kind in _VALUE_OF and not attribute.HasField(_VALUE_OF[kind]):
            raise InvalidModel(f"The attribute {attribute.name!r} of the {where} has no value.")
