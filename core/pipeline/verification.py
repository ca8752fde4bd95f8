"""Verification of a rewritten graph after every step: a sound model with the same interface?

The ONNX checker, no empty tensor, the same inputs and outputs, unique node names, and runs on ONNX
Runtime: outputs finite wherever they were before, and equal, on inputs of several scales, where the
pass promises so. Where a node decides (TopK, NonMaxSuppression, Round), what comes before it is
compared: see `decisions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import onnx_ir as ir

from core.backends.base.onnx_settings import settings
from core.calibration.ort_runner import run_lean
from core.calibration.services import Services, Tensors
from core.data import synthetic_feeds
from core.errors import CoreError, PassPostcondition
from core.graph import (
    all_graphs,
    check,
    handed_over,
    infer_shapes,
    input_specs,
    is_large,
    output_specs,
    weight_bytes,
)
from core.passes.base import Graph
from core.pipeline import decisions
from core.pipeline.comparison import Kind, compare
from core.pipeline.decisions import DRAWS, ROUNDS, SELECTS, behind
from core.records import Note, RunOptions, TensorSpec

TRIAL_SIZES = (1, 32, 224)  # for dynamic dimensions, until the original runs
SCALES = (30.0, 1000.0, 0.01)  # further trials of a graph that promises the same outputs
WORTH_ALL_CORES = 16 << 20  # bytes of weights: a smaller graph runs in no time on one
LARGEST_TO_SCALE = 256 << 20  # bytes of weights: beyond, one trial takes long enough
CAST_TO_COMPARE = frozenset(
    {ir.DataType.BFLOAT16, ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ}
    | {ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ}
)
LISTED = 3
BLAMED, WHAT_IS_TO_BLAME = "The model breaks", "What the step made of the model breaks"


class Verifier:
    """Holds what the last accepted graph looked like and computed."""

    def __init__(self, graph: Graph, services: Services) -> None:
        """Take the interface and, where it runs at all, the outputs of `graph`."""
        self._inputs, self._outputs = input_specs(graph), output_specs(graph)
        known = graph.clone()
        infer_shapes(known)  # what is empty already shall not seem to have become so
        self._empty = _empty_tensors(known)
        self._loads, self._reason = True, Note.of("verify.no_input")
        self._feeds: list[Tensors] = []
        self._results: list[Tensors] = []
        self._first_run(graph, services)

    def accept(self, graph: Graph, exact: bool = False) -> tuple[Note, ...]:
        """Verify `graph`, which from now on is what the next one is compared with.

        Args:
            graph: what a step left.
            exact: whether its outputs must be those of the graph before.

        Returns:
            Notes for the user.

        Raises:
            PassPostcondition: what is wrong with it.
        """
        self._interface(graph)
        _node_names(graph)
        infer_shapes(graph)
        try:
            check(graph)
        except CoreError as error:
            raise PassPostcondition(error.message.replace(BLAMED, WHAT_IS_TO_BLAME)) from None
        empty = _empty_tensors(graph)
        new = sorted(empty - self._empty)
        if new and len(empty) > len(self._empty):  # one that was empty may have another name
            raise PassPostcondition(f"These tensors became empty: {_listed(new)}.")
        notes = self._run(graph, exact)
        self._empty = empty
        return notes

    def _first_run(self, graph: Graph, services: Services) -> None:
        """Find feeds that the graph runs on, and keep its outputs; else say why there are none."""
        try:
            session = _Session(graph, decisions.before(graph))
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            self._loads = False
            self._reason = Note.of("verify.no_load", error=_first_line(error))
            return
        for feeds in _trials(graph, services):
            try:
                self._results.append(session.run(feeds))
                self._feeds.append(feeds)
                break
            except Exception as error:
                self._reason = Note.of("verify.no_run", error=_first_line(error))
        if self._feeds and weight_bytes(graph) <= LARGEST_TO_SCALE:
            self._more_scales(session)

    def _more_scales(self, session: _Session) -> None:
        feeds = self._feeds[0]
        if not any(values.dtype.kind == "f" for values in feeds.values()):
            return
        for scale in SCALES:
            scaled = {n: v * v.dtype.type(scale) if v.dtype.kind == "f" else v
                      for n, v in feeds.items()}  # fmt: skip
            try:
                self._results.append(session.run(scaled))
            except Exception:  # an index or a size that depends on the values; one scale less
                continue
            self._feeds.append(scaled)

    def _interface(self, graph: Graph) -> None:
        for kind, old, new in (
            ("inputs", self._inputs, input_specs(graph)),
            ("outputs", self._outputs, output_specs(graph)),
        ):
            if [s.name for s in old] != [s.name for s in new]:
                raise PassPostcondition(
                    f"The {kind} were {_listed([s.name for s in old])} and became "
                    f"{_listed([s.name for s in new])}."
                )
            for before, after in zip(old, new, strict=True):
                _same_spec(before, after)

    def _run(self, graph: Graph, exact: bool) -> tuple[Note, ...]:
        watched = {name for results in self._results for name in results}
        try:
            session = _Session(graph, decisions.before(graph), watched)
            results = [session.run(feeds) for feeds in self._feeds]
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            if not self._loads:
                return (Note.of("verify.not", why=self._reason),)
            raise PassPostcondition(
                f"ONNX Runtime does not run the result: {_first_line(error)}"
            ) from None
        if not self._feeds:
            return (Note.of("verify.loaded_alone", why=self._reason),)
        kinds = _kinds(graph, exact)
        held = len(results) if exact else 1  # a number format may not reach as far as the scales
        for old, new in zip(self._results[:held], results[:held], strict=True):
            for name in old.keys() & new.keys():
                compare(name, old[name], new[name], kinds.get(name, Kind.FREE))
        self._results = results
        return ()


def _kinds(graph: Graph, exact: bool) -> dict[str, Kind]:
    """How closely each value of the new graph must stay what it was; free where not named."""
    if not exact:
        return {}
    chosen = behind(graph, SELECTS | DRAWS)
    rounded = behind(graph, ROUNDS) - chosen
    names = {value.name or "" for node in graph.graph for value in node.outputs} - chosen
    return {name: Kind.ROUNDED if name in rounded else Kind.SAME for name in names}


def _trials(graph: Graph, services: Services) -> Iterator[Tensors]:
    specs = input_specs(graph)
    dynamic = {d for spec in specs for d in spec.shape if isinstance(d, str)}
    sizes = TRIAL_SIZES if dynamic else TRIAL_SIZES[:1]
    batch = {spec.shape[0] for spec in specs if spec.shape}
    for feeds in services.feeds() if services.count else ():
        yield feeds
        break
    for size in sizes:
        dims = {d: 1 if d in batch else size for d in dynamic if isinstance(d, str)}
        try:
            yield from synthetic_feeds(specs, 1, dims=dims)
        except CoreError:
            return


class _Session:
    """A graph in ONNX Runtime that gives its outputs, and values on the way to them."""

    def __init__(self, graph: Graph, also: Sequence[str], known: Collection[str] = ()) -> None:
        import onnxruntime as ort

        large = is_large(graph)
        many = weight_bytes(graph) >= WORTH_ALL_CORES
        options = settings(RunOptions(threads=0 if many else 1))
        options.log_severity_level = 4
        shown, self._names = _watched(graph, {*also, *known})
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if large:
            run_lean(options)
        with handed_over(shown) as model:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, feeds: Tensors) -> Tensors:
        """Name of the value -> what it holds."""
        names = list(self._names)
        found = self._session.run([self._names[name] for name in names], feeds)
        return dict(zip(names, found, strict=True))


def _watched(graph: Graph, also: Collection[str]) -> tuple[Graph, dict[str, str]]:
    """A copy with further outputs; name of the value -> name of the output that holds it.

    Types that numpy has no name for are cast to float32 on the way out.
    """
    shown = graph.clone()
    own = {value.name: value for node in shown.graph for value in node.outputs}
    names: dict[str, str] = {}
    for place, value in enumerate(list(shown.graph.outputs)):
        if value.dtype in CAST_TO_COMPARE:
            shown.graph.outputs[place] = value = _cast(shown, value)
        names[graph.graph.outputs[place].name or ""] = value.name or ""
    for name in also:
        value_or_none = own.get(name)
        if value_or_none is not None and name not in names:
            shown.graph.outputs.append(value_or_none)
            names[name] = name
    return shown, names


def _cast(graph: Graph, value: ir.Value) -> ir.Value:
    out = ir.Value(name=f"{value.name}_to_compare", type=ir.TensorType(ir.DataType.FLOAT))
    to = ir.AttrInt64("to", int(ir.DataType.FLOAT))
    graph.graph.append(ir.Node("", "Cast", [value], [to], outputs=[out]))
    out.shape = value.shape
    return out


def _same_spec(before: TensorSpec, after: TensorSpec) -> None:
    if before.dtype != after.dtype:
        raise PassPostcondition(
            f"{before.name!r} was of type {before.dtype} and became {after.dtype}."
        )
    fits = len(before.shape) == len(after.shape) or not before.shape or not after.shape
    sizes = zip(before.shape, after.shape, strict=False)
    if not fits or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in sizes):
        raise PassPostcondition(
            f"{before.name!r} was of shape {list(before.shape)} and became {list(after.shape)}."
        )


def _node_names(graph: Graph) -> None:
    names = [node.name for inner in all_graphs(graph) for node in inner if node.name]
    if len(names) != len(set(names)):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise PassPostcondition(f"These node names occur more than once: {_listed(twice)}.")


def _empty_tensors(graph: Graph) -> set[str]:
    """Names of weights (rank 2 or more) and values with an axis of no length."""
    found = set()
    for inner in all_graphs(graph):
        weights = (
            v for v in inner.initializers.values() if v.shape is not None and len(v.shape) > 1
        )
        for value in chain(weights, *(node.outputs for node in inner)):
            shape = value.shape
            if shape is not None and any(isinstance(d, int) and d == 0 for d in shape):
                found.add(value.name or "?")
    return found


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(repr(name) for name in names[:LISTED]) + rest


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
