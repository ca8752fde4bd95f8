"""Is a rewritten graph still a sound model with the same interface? Asked after every step.

The ONNX checker, no empty tensor, the same inputs and outputs, unique node names, and one run on
ONNX Runtime: outputs finite wherever they were before, and equal where the pass promises so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from core.data import synthetic_feeds
from core.errors import CoreError, PassPostcondition
from core.graph import all_graphs, check, infer_shapes, input_specs, output_specs, serialize
from core.passes.base import Graph, Statistics, Tensors
from core.records import TensorSpec

TRIAL_SIZES = (1, 32, 224)  # for dynamic dimensions, until the original runs
LARGEST_ERROR = 1e-2  # root mean square of the difference, relative to the original's
DECIDES = frozenset(
    {"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "Round", "QuantizeLinear"}
    | {"DynamicQuantizeLinear", "Unique", "NonZero"}
    | {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"}
    | {"RandomUniform", "RandomUniformLike", "Dropout"}
)
LISTED = 3
BLAMED, WHAT_IS_TO_BLAME = "The model breaks", "What the step made of the model breaks"


class Verifier:
    """Holds what the last accepted graph looked like and computed."""

    def __init__(self, graph: Graph, statistics: Statistics) -> None:
        """Take the interface and, where it runs at all, the outputs of `graph`."""
        self._inputs, self._outputs = input_specs(graph), output_specs(graph)
        self._empty = _empty_tensors(graph)
        self._decides = any(n.op_type in DECIDES for g in all_graphs(graph) for n in g)
        self._loads, self._reason = True, ""
        self._feeds: Tensors | None = None
        self._results: Tensors = {}
        self._first_run(graph, statistics)

    def accept(self, graph: Graph, exact: bool = False) -> tuple[str, ...]:
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

    def _first_run(self, graph: Graph, statistics: Statistics) -> None:
        """Find feeds that the graph runs on, and keep its outputs; else say why there are none."""
        try:
            session = _session(graph)
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            self._loads = False
            self._reason = f"ONNX Runtime does not load the original ({_first_line(error)})."
            return
        self._reason = "no input could be made up."
        for feeds in _trials(graph, statistics):
            try:
                self._results, self._feeds = _outputs(session, feeds), feeds
                return
            except Exception as error:
                self._reason = (
                    f"the original does not run on made-up inputs ({_first_line(error)})."
                )

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

    def _run(self, graph: Graph, exact: bool) -> tuple[str, ...]:
        try:
            session = _session(graph)
            results = {} if self._feeds is None else _outputs(session, self._feeds)
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            if not self._loads:
                return (f"Not verified by a run: {self._reason}",)
            raise PassPostcondition(
                f"ONNX Runtime does not run the result: {_first_line(error)}"
            ) from None
        if self._feeds is None:
            return (f"Verified by loading, not by a run: {self._reason}",)
        for name, before in self._results.items():
            _compare(name, before, results[name], exact and not self._decides)
        self._results = results
        return ()


def _trials(graph: Graph, statistics: Statistics) -> Iterator[Tensors]:
    specs = input_specs(graph)
    dynamic = {d for spec in specs for d in spec.shape if isinstance(d, str)}
    sizes = TRIAL_SIZES if dynamic else TRIAL_SIZES[:1]
    batch = {spec.shape[0] for spec in specs if spec.shape}
    for feeds in statistics.feeds() if statistics.count else ():
        yield feeds
        break
    for size in sizes:
        dims = {d: 1 if d in batch else size for d in dynamic if isinstance(d, str)}
        try:
            yield from synthetic_feeds(specs, 1, dims=dims)
        except CoreError:
            return


def _session(graph: Graph) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(serialize(graph), options, providers=["CPUExecutionProvider"])


def _outputs(session: Any, feeds: Tensors) -> Tensors:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


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


def _compare(name: str, before: Any, after: Any, exact: bool) -> None:
    """Raise PassPostcondition where an output is no longer finite, or no longer the same."""
    if not _is_real(before) or not _is_real(after):
        return
    if np.isfinite(before).all() and not np.isfinite(after).all():
        raise PassPostcondition(f"Output {name!r} is no longer finite (NaN or infinity).")
    if not exact:
        return
    if before.shape != after.shape:
        raise PassPostcondition(
            f"Output {name!r} has the shape {list(after.shape)} instead of {list(before.shape)}."
        )
    finite = np.isfinite(before)
    if not finite.any():
        return
    old, new = before[finite].astype(np.float64), after[finite].astype(np.float64)
    error, size = np.sqrt(np.mean((old - new) ** 2)), np.sqrt(np.mean(old**2))
    if error > LARGEST_ERROR * max(size, 1e-6):
        raise PassPostcondition(
            f"Output {name!r} changed by {error:.3g} (root mean square; it is {size:.3g} itself), "
            "which is more than rounding."
        )


def _is_real(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(repr(name) for name in names[:LISTED]) + rest


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
