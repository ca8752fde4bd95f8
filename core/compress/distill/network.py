"""A graph as a differentiable function: its nodes, one by one, by PyTorch operators.

The graph stays as it is: names and structure are those of the file, and trained weights are written
back into the same initializers. Three kinds of values go through it:

- weights that are trained: leaves that collect gradients;
- activations: tensors;
- constants and what is computed from shapes alone: numpy arrays, evaluated by ONNX's reference
  implementation, so that the shape arithmetic of any exporter works and is exact.

The statistics of batch norms are not weights: see `norms`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from core.compress.distill.operators import OPERATORS, Array, Call, Tensor
from core.errors import UnsupportedModel
from core.graph import constant
from core.graph.operators import STANDARD

Graph = ir.Model
Hook = Callable[[Tensor], Tensor]
Place = tuple[str, int]  # node, position of the input
TRAINED: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "Add": (0, 1),
    "PRelu": (1,),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "RMSNormalization": (1,),
}
VIEWS = frozenset({"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
KEPT_RESULTS = 4096


class Network:
    """The function that a graph computes, of its inputs and of its weights.

    Attributes:
        weights: initializer -> leaf tensor, for all that is trained.
        hooks: (node, input) -> what is done to that input before the node sees it.
        norms_by_batch: whether batch norms normalise by the batch instead of their statistics.
        norm_observer: told of each batch norm and its input, if they do.
    """

    def __init__(self, graph: Graph) -> None:
        """Read the weights of `graph`, which stays untouched.

        Raises:
            UnsupportedModel: an operator of another domain, or one with a graph inside.
        """
        import torch

        self._torch: Any = torch
        self._graph = graph
        self._opset = graph.opset_imports.get("", 1)
        self._nodes = list(graph.graph)
        for node in self._nodes:
            _plain(node)
        self._attributes = [_attributes(node) for node in self._nodes]
        self._constants = _constants(graph)
        self.weights: dict[str, Tensor] = {
            name: torch.from_numpy(np.array(self._constants.pop(name))).requires_grad_(True)
            for name in trained(graph)
        }
        self.hooks: dict[Place, Hook] = {}
        self.norms_by_batch = False
        self.norm_observer: Callable[[ir.Node, Tensor], None] | None = None
        self._known: dict[Any, list[Any]] = {}
        self._last_use = _last_use(self._nodes)

    def __call__(self, feeds: Mapping[str, Any], names: Iterable[str]) -> dict[str, Tensor]:
        """Values of the named tensors.

        Args:
            feeds: a tensor for each input.
            names: outputs of nodes.

        Raises:
            UnsupportedModel: an operator that is not known, by its name.
        """
        wanted = set(names)
        values: dict[str, Any] = {**self._constants, **self.weights, **feeds}
        found: dict[str, Tensor] = {}
        for index, node in enumerate(self._nodes):
            results = self._run(index, node, values)
            for output, result in zip(node.outputs, results, strict=False):
                values[output.name or ""] = result
                if output.name in wanted:
                    found[output.name] = self._as_tensor(result)
            for name in self._last_use[index]:
                values.pop(name, None)
        return found

    def weigh(self, feeds: Mapping[str, Any]) -> int:
        """Bytes of all activations for one batch."""
        values: dict[str, Any] = {**self._constants, **self.weights, **feeds}
        total = 0
        with self._torch.no_grad():
            for index, node in enumerate(self._nodes):
                results = self._run(index, node, values)
                for output, result in zip(node.outputs, results, strict=False):
                    values[output.name or ""] = result
                    total += int(result.nbytes)
                for name in self._last_use[index]:
                    values.pop(name, None)
        return total

    def array(self, name: str) -> Array:
        """A weight, or a constant, as it is now."""
        if name in self.weights:
            return np.array(self.weights[name].detach().numpy())
        return self._constants[name]

    def set_constant(self, name: str, array: Array) -> None:
        """Replace a constant, such as the statistics of a batch norm."""
        self._constants[name] = array

    def _as_tensor(self, value: Any) -> Tensor:
        return self._torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    def _run(self, index: int, node: ir.Node, values: Mapping[str, Any]) -> Sequence[Any]:
        inputs = [None if value is None else values[value.name or ""] for value in node.inputs]
        if all(value is None or isinstance(value, np.ndarray) for value in inputs):
            return self._arithmetic(node, inputs)
        for position in range(len(inputs)):
            hook = self.hooks.get((node.name or "", position))
            if hook is not None:
                inputs[position] = hook(self._as_tensor(inputs[position]))
        if self.norms_by_batch and node.op_type == "BatchNormalization":
            if self.norm_observer is not None:
                self.norm_observer(node, inputs[0])
            inputs[3:5] = [None, None]
        operator = OPERATORS.get(node.op_type)
        if operator is None:
            raise _unknown(node)
        call = Call(
            self._torch,
            node.op_type,
            self._opset,
            inputs,
            self._attributes[index],
            len(node.outputs),
        )
        result = operator(call)
        return result if isinstance(result, tuple) else (result,)

    def _arithmetic(self, node: ir.Node, inputs: Sequence[Array | None]) -> Sequence[Any]:
        """What ONNX's reference makes of arrays; each question is answered once."""
        key = (node.name, *(None if a is None else (a.shape, a.tobytes()) for a in inputs))
        if key not in self._known:
            if len(self._known) >= KEPT_RESULTS:
                self._known.clear()
            self._known[key] = _reference(node, self._opset, inputs)
        return self._known[key]


def trained(graph: Graph) -> list[str]:
    """Initializers whose numbers are learnt: weights, biases and the affine parts of norms."""
    found: dict[str, None] = {}
    for node in graph.graph:
        if node.domain not in STANDARD:
            continue
        for position in TRAINED.get(node.op_type, ()):
            value = node.inputs[position] if position < len(node.inputs) else None
            source = stored(value)
            if source is None or (node.op_type == "Add" and _size(source) == 1):
                continue
            found[source.name or ""] = None
    return list(found)


def stored(value: ir.Value | None) -> ir.Value | None:
    """The float32 initializer behind `value`, seen through views; None if there is none."""
    while value is not None:
        if value.is_initializer() and not value.is_graph_input():
            array = constant(value)
            return value if array is not None and array.dtype == np.float32 else None
        node = value.producer()
        if node is None or node.op_type not in VIEWS or node.domain not in STANDARD:
            return None
        value = node.inputs[0]
    return None


def _size(value: ir.Value) -> int:
    array = constant(value)
    return 0 if array is None else int(array.size)


def _constants(graph: Graph) -> dict[str, Array]:
    found = {}
    for name, value in graph.graph.initializers.items():
        array = constant(value)
        if array is not None:
            found[name] = array
    return found


def _plain(node: ir.Node) -> None:
    if node.domain not in STANDARD or any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for attribute in node.attributes.values()
    ):
        raise _unknown(node)


def _unknown(node: ir.Node) -> UnsupportedModel:
    where = f"{node.domain}.{node.op_type}" if node.domain not in STANDARD else node.op_type
    return UnsupportedModel(f"The operator {where} ({node.name}) is not known to training.")


def _attributes(node: ir.Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, attribute in node.attributes.items():
        value = attribute.value
        found[name] = value.numpy() if attribute.type == ir.AttributeType.TENSOR else value
    return found


def _last_use(nodes: Sequence[ir.Node]) -> list[list[str]]:
    """For each node, the values that no later one needs."""
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.producer() is not None:
                last[value.name or ""] = index
    found: list[list[str]] = [[] for _ in nodes]
    for name, index in last.items():
        found[index].append(name)
    return found


def _reference(node: ir.Node, opset: int, inputs: Sequence[Array | None]) -> list[Any]:
    proto = ir.to_proto(node)
    names = [name for name, array in zip(proto.input, inputs, strict=True) if array is not None]
    kept = {name: array for name, array in zip(proto.input, inputs, strict=True) if name in names}
    model = _single(
        proto.SerializeToString(),
        opset,
        tuple((name, array.dtype.str) for name, array in kept.items() if array is not None),
    )
    results: Any = model.run(None, kept)
    return [np.asarray(result) for result in results]


@functools.lru_cache(maxsize=512)
def _single(node: bytes, opset: int, inputs: tuple[tuple[str, str], ...]) -> ReferenceEvaluator:
    proto = onnx.NodeProto.FromString(node)
    given = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)), None
        )
        for name, kind in inputs
    ]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "one", given, results)
    imports = [onnx.helper.make_opsetid("", opset)]
    return ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports))
