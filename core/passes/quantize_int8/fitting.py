"""Whether the backend computes what the file says, and what to do where it does not.

The same file gives different numbers where a runtime's kernels saturate, round between fused
operators, or are wrong. A quick quantization (extremes of few images, weights to nearest) is run
there and beside what the file says. Where the backend strays, other ways of computing in integers
are tried, and the one that loses least there is taken: activations of the other sign, joining and
carrying operators in float, the first layers in float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from core.compress.quantization.evaluator import Evaluator, Loss
from core.compress.quantization.partition import Selection, select
from core.compress.quantization.target_scheme import Scheme, scheme
from core.data.zoomed import RIGHT
from core.passes.base import Graph, Report
from core.records import Note

STRAYS = 1.5  # times the error that the file says: more than rounding in another order does
SLACK = 1e-4  # and at least so much more: below it nothing is lost
PROMISED_POINTS = 1.0
FIRST = (1, 2, 3)  # layers at the inputs, where runtimes fuse preprocessing, padding and shapes


@dataclass(frozen=True)
class Way:
    """How to compute in integers.

    Attributes:
        selection: what does.
        floats: names of nodes that are kept float.
        scheme: by which integers.
        signed: whether activations are s8 instead of the usual, or u8; None: as usual.
        weighted_alone: only layers with weights compute in integers.
        first: so many first layers stay float.
    """

    selection: Selection
    floats: frozenset[str]
    scheme: Scheme
    signed: bool | None = None
    weighted_alone: bool = False
    first: int = 0


def fitted(
    graph: Graph, way: Way, evaluator: Evaluator, quick: Callable[[Way], Graph], report: Report
) -> Way:
    """The way that loses least on the backend, or the given one where nothing speaks against it.

    Args:
        graph: the prepared float graph.
        way: the usual one, the fastest.
        evaluator: loses its backend where that gives no outputs at all.
        quick: a quick quantization.
        report: hears of it.
    """
    if evaluator.backend is None:
        return way
    label, made = evaluator.backend.label, quick(way)
    there, said = evaluator.error(made), evaluator.error_as_written(made)
    if there <= STRAYS * said + SLACK:
        return way
    found = [(there, way), *((evaluator.error(quick(o)), o) for o in _others(graph, way))]
    least, best = min(found, key=lambda pair: pair[0])
    if STRAYS * said + SLACK < least < float("inf"):
        least, best = _first_floats(graph, way, evaluator, quick) or (least, best)
    if least == float("inf"):
        report.note(Note.of("int8.outputless", backend=label, reason=evaluator.reason))
        evaluator.backend = None
        return way
    kinds = {None: "", True: "signed", False: "unsigned"}
    report.note(Note.of(
        "int8.strays", backend=label, there=there, written=said, now=least, first=best.first,
        weighted_alone=best.weighted_alone, activations=kinds[best.signed],
    ))  # fmt: skip
    return best


def _others(graph: Graph, way: Way) -> Iterator[Way]:
    nodes = {node.name or "" for node in graph.graph if node.name in way.selection.nodes}
    between = frozenset(nodes) - frozenset(way.selection.weighted)
    used = way.scheme
    flipped = scheme(used.backend, used.target, "u8" if used.signed else "s8", used.per_channel)
    options = [(way.floats, flipped)] if used.bits < 16 else []
    if between:
        options += [(way.floats | between, used), (way.floats | between, flipped)]
    for floats, other in options:
        selection = select(graph, floats)
        if selection.weighted:
            yield Way(
                selection, floats, other, flipped.signed if other is flipped else None,
                weighted_alone=floats != way.floats,
            )  # fmt: skip


def _first_floats(
    graph: Graph, way: Way, evaluator: Evaluator, quick: Callable[[Way], Graph]
) -> tuple[float, Way] | None:
    """With as few first layers in float as it takes, and its error; None if these do not help."""
    for count in FIRST:
        floats = way.floats | frozenset(way.selection.weighted[:count])
        selection = select(graph, floats)
        if not selection.weighted:
            return None
        other = replace(way, selection=selection, floats=floats, first=count)
        made = quick(other)
        error = evaluator.error(made)
        if error <= STRAYS * evaluator.error_as_written(made) + SLACK:
            return error, other
    return None


def say_outcome(made: Graph, evaluator: Evaluator, real: bool, report: Report) -> None:
    """What the finished graph loses where it will run, and whether that is more than promised."""
    error, loss = evaluator.outcome(made)
    if evaluator.backend is not None:
        there = {"backend": evaluator.backend.label, "images": evaluator.images, "there": error}
        report.note(
            Note.of("int8.outcome_there", written=evaluator.error_as_written(made), **there)
        )
    if not real or not evaluator.counts_points:
        return
    if evaluator.familiar is not None:
        known, copies, right = evaluator.familiar
        right = right if right is not None and right >= RIGHT else None
        report.note(Note.of("int8.familiar", known=known, copies=copies, right=right))
    lost = loss or Loss(100.0, 100.0, 100.0)
    expected = {"loss": lost, "promised": PROMISED_POINTS, "images": evaluator.images}
    report.note(Note.of("int8.expected_loss", error=error, **expected))
