"""tract on one core: a Rust library that reads ONNX itself, and computes in what the file says.

A file whose sizes are open is planned once more for every size that it is run at, as a program in
Rust would: a plan that leaves them open takes up to three times as long.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors, installed, onnx_nodes
from core.backends.base.profile import COMPUTE, OTHER, QUANTIZE, REORDER, Origins, TimedLayer
from core.errors import BackendUnavailable, InferenceFailed
from core.records import BackendFacts, Json, Package, RunOptions

BF16 = "TRACT_AMX_BF16"  # a switch of the environment for products in bf16; off by default
TRACE = "Stack backtrace:"
_STEPS = ("Pad", "LazyIm2col", "Im2col", "OptMatMulPack", "IntoShape", "AxisOp")
_MOVES = frozenset({"Source", "Const", "IntoShape", "Reshape", "Flatten", "Cast"})
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_PRECISIONS = {"F32": "f32", "F16": "f16", "I32": "int8", "I8": "int8"}  # of multiply-adds
Sizes = tuple[tuple[int, ...], ...]


class TractSession:
    """A model, and its plan for the sizes of the last feeds."""

    precision = "f32"  # of float layers; it has no switch that changes it but `BF16`

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Read `model`, and plan it where its sizes are fixed.

        Raises:
            InferenceFailed: tract does not take the model.
            BackendUnavailable: more threads than one.
        """
        if options.threads > 1:
            raise BackendUnavailable(
                "tract's Python package computes on one core.", "Measure it with 1 thread."
            )
        os.environ.pop(BF16, None)
        self.settings = {"threads": "1, all that it has"}
        self._model = model
        read = self._read()
        self._inputs = tuple(read.input_name(i) for i in range(read.input_count()))
        facts = [str(read.input_fact(i)).rpartition(",") for i in range(len(self._inputs))]
        self._types = tuple(kind for _, _, kind in facts)
        shapes = [shape.split(",") if shape else [] for shape, _, _ in facts]
        self._sizes: Sizes | None = None
        self._plan: Any = None
        if all(size.isdigit() for shape in shapes for size in shape):
            self._planned(tuple(tuple(map(int, shape)) for shape in shapes))

    def _read(self) -> Any:
        import tract

        try:
            return tract.onnx().load(str(self._model))
        except tract.TractError as error:
            raise InferenceFailed(f"tract could not load it: {_words(error)}") from error

    def _planned(self, sizes: Sizes) -> Any:
        """The plan for these sizes of the inputs.

        Raises:
            InferenceFailed: tract's words.
        """
        import tract

        if sizes == self._sizes:
            return self._plan
        read = self._read()
        try:
            for place, (shape, kind) in enumerate(zip(sizes, self._types, strict=True)):
                read.set_input_fact(place, ",".join((*map(str, shape), kind)))
            self._plan = read.into_model().into_runnable()
        except tract.TractError as error:
            raise InferenceFailed(f"tract could not plan it: {_words(error)}") from error
        self._sizes = sizes
        return self._plan

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs in the order of the file; tract knows the nodes that make them, not their names.

        Raises:
            InferenceFailed: tract's words.
        """
        import tract

        values = self._ordered(feeds)
        plan = self._planned(tuple(value.shape for value in values))
        try:
            outputs = plan.run(values)
            return {f"output {place}": made.to_numpy() for place, made in enumerate(outputs)}
        except tract.TractError as error:
            raise InferenceFailed(f"tract could not run it: {_words(error)}") from error

    def _ordered(self, feeds: Tensors) -> list[np.ndarray[Any, Any]]:
        missing = [name for name in self._inputs if name not in feeds]
        if missing:
            raise InferenceFailed(f"tract asks for inputs of other names: {', '.join(missing)}.")
        return [feeds[name] for name in self._inputs]

    def close(self) -> None:
        """Free the plan."""
        self._plan = self._sizes = None


class TractProfileSession(TractSession):
    """A model whose nodes tract times by itself, for five seconds, once all calls are done.

    The calls before it keep no times, so that a node has one: the mean of those five seconds.
    """

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Read `model`.

        Raises:
            InferenceFailed, BackendUnavailable: as the session.
        """
        super().__init__(model, options)
        self._feeds: Tensors = {}

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs; the feeds are those that nodes are timed with.

        Raises:
            InferenceFailed: tract's words.
        """
        self._feeds = feeds
        return super().run(feeds)

    def layers(self) -> tuple[TimedLayer, ...]:
        """Nodes that took time, as tract planned them.

        Raises:
            InferenceFailed: tract's words.
        """
        import tract

        values = self._ordered(self._feeds)
        plan = self._planned(tuple(value.shape for value in values))
        try:
            nodes = json.loads(plan.profile_json(values))["nodes"]
        except (tract.TractError, KeyError, ValueError) as error:
            raise InferenceFailed(f"tract could not time it: {_words(error)}") from error
        return rows(nodes, onnx_nodes.origins(onnx_nodes.read(self._model)))


def rows(nodes: Sequence[Json], origins: Origins) -> tuple[TimedLayer, ...]:
    """What tract planned, in its order, under the names of the file.

    Args:
        nodes: of its profile; those inside of a loop's body are part of the loop.
        origins: of the file.
    """
    outer = [node for node in nodes if not node["qualified_id"][0] and "secs_per_iter" in node]
    return tuple(_row(node, origins) for node in sorted(outer, key=lambda n: n["qualified_id"][1]))


def _row(node: Json, origins: Origins) -> TimedLayer:
    name, op_type = str(node["node_name"]), str(node["op_name"])
    origin = origins.of(op_type, _shorter(name))
    role = _role(name, op_type, origins)
    return TimedLayer(
        node=f"{name} #{node['qualified_id'][1]}",
        name=origin if origin and role in (COMPUTE, OTHER) else name,
        op_type=op_type,
        role=role,
        precision=_precision(node),
        provider="CPU",
        implementation=op_type,
        seconds=(float(node["secs_per_iter"]),),
    )


def _role(name: str, op_type: str, origins: Origins) -> str:
    """What a node is for; a step that tract put before a product is a change of layout."""
    known = origins.nodes.get(next((n for n in _shorter(name) if n in origins.nodes), ""))
    kind = known.op_type if known is not None else ""
    if kind in _QUANTIZERS or op_type.startswith(_QUANTIZERS):
        return QUANTIZE
    if op_type in _STEPS and name not in origins.nodes:
        return REORDER
    return OTHER if {op_type, kind} & _MOVES else COMPUTE


def _precision(node: Json) -> str:
    """The type of its multiply-adds; nodes without any do not tell."""
    kinds = (key[len("FMA(") : -1] for key in node.get("cost", {}) if key.startswith("FMA("))
    return next((_PRECISIONS.get(kind, "") for kind in kinds), "")


def _shorter(name: str) -> list[str]:
    """A name, then without one of the endings that tract adds after the other."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _words(error: Exception) -> str:
    """A message of tract in one line, without the functions that it passed through."""
    return " ".join(str(error).partition(TRACE)[0].split())


class Tract:
    """CPU, one core."""

    label = "tract"
    precisions = ("f32",)
    remedy = "pip install -r requirements/tract.txt"
    accepts: tuple[str, ...] = ("onnx",)
    about = "For programs in Rust: reads ONNX without a conversion; one core."
    arithmetic = "f32 on one core; int8 (QDQ) files run, their products in f32"
    facts = BackendFacts(
        "#d6336c",
        place=60,
        one_core=True,
        int8_does="QDQ files give the right answers, but products stay f32: slower than float.",
        package=Package("tract", 33_000_000, "MIT or Apache-2.0"),
    )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("tract", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU, one core"

    def load(self, artifact: Path, options: RunOptions) -> TractSession:
        """A model on one core.

        Raises:
            InferenceFailed, BackendUnavailable
        """
        return TractSession(artifact, options)

    def profile(self, artifact: Path, options: RunOptions) -> TractProfileSession:
        """A model whose nodes are timed.

        Raises:
            InferenceFailed, BackendUnavailable
        """
        return TractProfileSession(artifact, options)


BACKEND = Tract()
