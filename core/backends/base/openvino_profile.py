"""OpenVINO's performance counters, and the executable graph that says what really ran.

`PERF_COUNT` gives microseconds per executed node. The runtime model gives, for the same names, the
precision, the kernel and what was fused into the node; the model as read says where that was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.backends.base import Tensors, cores
from core.backends.base.profile import (
    CAST,
    COMPUTE,
    OTHER,
    QUANTIZE,
    REORDER,
    FileNode,
    Origins,
    TimedLayer,
)
from core.errors import InferenceFailed
from core.records import Json, RunOptions

_ROLES = {
    **dict.fromkeys(("FakeQuantize", "QuantizeLinear", "DequantizeLinear"), QUANTIZE),
    "Convert": CAST,
    "Reorder": REORDER,
    **dict.fromkeys(("Reshape", "ShapeOf", "Gather", "Broadcast", "Squeeze", "Unsqueeze"), OTHER),
}
_PRECISIONS = {"i8": "int8", "u8": "int8", "f32": "f32", "f16": "f16", "bf16": "bf16"}
INTEGERS = ("i8", "u8")
_QUANTIZERS = {"FakeQuantize", "Convert", "Subtract", "Multiply"}  # what Q and DQ are made of
_SPLIT = "/WithoutBiases"  # the importer reads a layer with a bias as a product and a sum
Facts = Mapping[str, str]


class OpenVinoProfileSession:
    """A compiled model with its performance counters on."""

    def __init__(self, model: Path, options: RunOptions, arithmetic: Json) -> None:
        """Compile `model`; `arithmetic` are the properties that decide how it computes.

        Raises:
            InferenceFailed: OpenVINO does not take the model.
        """
        import openvino as ov

        try:
            core = ov.Core()
            read = core.read_model(str(model))
            self._origins = _origins(read)
            self._compiled: Any = core.compile_model(
                read,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": cores(options.threads),
                    "NUM_STREAMS": "1",
                    "PERF_COUNT": True,
                    **arithmetic,
                },
            )
            self._request: Any = self._compiled.create_infer_request()
        except Exception as error:
            raise InferenceFailed(f"OpenVINO could not load it: {error}") from error
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def run(self, feeds: Tensors) -> None:
        """Run once and read the counters.

        Raises:
            InferenceFailed: OpenVINO's words.
        """
        try:
            self._request.infer(feeds, share_inputs=True)
        except Exception as error:
            raise InferenceFailed(f"OpenVINO could not run it: {error}") from error
        for node in self._request.profiling_info:
            if str(node.status).endswith("EXECUTED"):
                self._seconds[str(node.node_name)].append(node.real_time.total_seconds())

    def layers(self) -> tuple[TimedLayer, ...]:
        """Every node that was executed, in the order of execution."""
        found = []
        operations = self._compiled.get_runtime_model().get_ordered_ops()
        parents = {op.get_friendly_name(): _parents(op) for op in operations}
        for op in operations:
            name = op.get_friendly_name()
            if name in self._seconds:
                sources = self._executed(parents, name)
                found.append(self._row(name, _facts(op), sources))
        return tuple(found)

    def _row(self, name: str, facts: Facts, sources: tuple[str, ...]) -> TimedLayer:
        op_type = facts.get("layerType", "")
        names = (*facts.get("originalLayersNames", "").split(","), name)
        role = self._role(facts, names)
        # OpenVINO appends to a name what its passes made of the layer.
        origin = self._origins.of(op_type, (part for n in names for part in _shorter(n)))
        precision = facts.get("runtimePrecision", "")
        return TimedLayer(
            node=name,
            name=origin.removesuffix(_SPLIT) if origin and role != REORDER else name,
            op_type=op_type,
            role=role,
            precision=_PRECISIONS.get(precision, precision),
            provider="CPU",
            implementation=facts.get("primitiveType", ""),
            sources=sources,
            seconds=tuple(self._seconds[name]),
        )

    def _role(self, facts: Facts, names: Sequence[str]) -> str:
        """The role of a node; what only steps from float to int8, or back, is a quantizer."""
        role = _ROLES.get(facts.get("layerType", ""), COMPUTE)
        ends = [facts.get(key) in INTEGERS for key in ("runtimePrecision", "outputPrecisions")]
        if role == CAST:
            return QUANTIZE if any(ends) else CAST
        kinds = {self._origins.nodes[n].op_type for n in names if n in self._origins.nodes}
        steps = facts.get("layerType") == "Subgraph" and ends[0] != ends[1]
        return QUANTIZE if steps and kinds <= _QUANTIZERS else role

    def _executed(self, parents: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
        """The nearest executed nodes above, through those that cost nothing."""
        found: dict[str, None] = {}
        waiting, seen = list(parents[name]), set()
        while waiting:
            parent = waiting.pop(0)
            if parent in self._seconds:
                found[parent] = None
            elif parent not in seen:
                seen.add(parent)
                waiting += parents.get(parent, ())
        return tuple(found)

    def close(self) -> None:
        """Free the compiled model."""
        self._request = self._compiled = None


def _parents(op: Any) -> tuple[str, ...]:
    return tuple(port.get_source_output().get_node().get_friendly_name() for port in op.inputs())


def _facts(op: Any) -> dict[str, str]:
    return {key: value.astype(str) for key, value in op.get_rt_info().items()}


def _shorter(name: str) -> list[str]:
    """The name, then without one suffix after the other."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1) if parts[end - 1]]


def _origins(model: Any) -> Origins:
    fixed: set[str] = set()
    nodes: dict[str, FileNode] = {}
    for op in model.get_ordered_ops():
        name, kind, parents = op.get_friendly_name(), op.get_type_name(), _parents(op)
        moving = tuple(parent for parent in parents if parent not in fixed)
        if kind == "Constant" or (parents and not moving):
            fixed.add(name)
        elif kind not in ("Parameter", "Result"):
            nodes[name] = FileNode(kind, moving)
    return Origins(nodes)
