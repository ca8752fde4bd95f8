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

from core.compress.quantization.evaluator import Judge, Loss
from core.compress.quantization.partition import Selection, select
from core.compress.quantization.target_scheme import Scheme, scheme
from core.data.zoomed import RIGHT
from core.passes.base import Graph, Report

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
        label: in words, where it is not the usual one.
    """

    selection: Selection
    floats: frozenset[str]
    scheme: Scheme
    label: str = ""


def fitted(
    graph: Graph, way: Way, judge: Judge, quick: Callable[[Way], Graph], report: Report
) -> Way:
    """The way that loses least on the backend, or the given one where nothing speaks against it.

    Args:
        graph: the prepared float graph.
        way: the usual one, the fastest.
        judge: loses its backend where that gives no outputs at all.
        quick: a quick quantization.
        report: hears of it.
    """
    if judge.backend is None:
        return way
    label, made = judge.backend.label, quick(way)
    there, said = judge.error(made), judge.error_as_written(made)
    if there <= STRAYS * said + SLACK:
        return way
    found = [(there, way), *((judge.error(quick(o)), o) for o in _others(graph, way))]
    least, best = min(found, key=lambda pair: pair[0])
    if STRAYS * said + SLACK < least < float("inf"):
        least, best = _first_floats(graph, way, judge, quick) or (least, best)
    if least == float("inf"):
        report.note(
            f"{label} gives no outputs for int8 ({judge.reason}), so errors are those of the file "
            "as ONNX Runtime reads it."
        )
        judge.backend = None
        return way
    said_there = f"relative logit error {there:.2g} instead of {said:.2g}"
    if best is way:
        report.note(f"{label} computes something else than the file says: {said_there}.")
    else:
        report.note(
            f"{label} computes something else than the file says ({said_there}), so "
            f"{best.label}: {least:.2g}."
        )
    return best


def _others(graph: Graph, way: Way) -> Iterator[Way]:
    nodes = {node.name or "" for node in graph.graph if node.name in way.selection.nodes}
    between = frozenset(nodes) - frozenset(way.selection.weighted)
    used = way.scheme
    flipped = scheme(used.backend, used.target, "u8" if used.signed else "s8", used.per_channel)
    kind = "unsigned" if used.signed else "signed"
    options = [(way.floats, flipped, f"activations are {kind}")] if used.bits < 16 else []
    if between:
        lone = "only layers with weights compute in integers"
        options += [(way.floats | between, used, lone)]
        options += [(way.floats | between, flipped, f"{lone}, activations are {kind}")]
    for floats, other, label in options:
        selection = select(graph, floats)
        if selection.weighted:
            yield replace(way, selection=selection, floats=floats, scheme=other, label=label)


def _first_floats(
    graph: Graph, way: Way, judge: Judge, quick: Callable[[Way], Graph]
) -> tuple[float, Way] | None:
    """With as few first layers in float as it takes, and its error; None if these do not help."""
    for count in FIRST:
        floats = way.floats | frozenset(way.selection.weighted[:count])
        selection = select(graph, floats)
        if not selection.weighted:
            return None
        other = replace(way, selection=selection, floats=floats, label=_first(count))
        made = quick(other)
        error = judge.error(made)
        if error <= STRAYS * judge.error_as_written(made) + SLACK:
            return error, other
    return None


def _first(count: int) -> str:
    return "the first layer stays float" if count == 1 else f"the first {count} layers stay float"


def say_outcome(made: Graph, judge: Judge, real: bool, report: Report) -> None:
    """What the finished graph loses where it will run, and whether that is more than promised."""
    error, loss = judge.outcome(made)
    if judge.backend is not None:
        report.note(
            f"{judge.backend.label}'s own outputs on {judge.images} held-out images: relative "
            f"logit error {error:.2g}; the file says {judge.error_as_written(made):.2g}."
        )
    if not real or not judge.counts_points:
        return
    if judge.familiar is not None:
        known, copies, right = judge.familiar
        so = f"is {100 * known:.1f} % sure of its answers on"
        if right is not None and right >= RIGHT:
            so = f"is right about {100 * right:.1f} % and {100 * known:.1f} % sure of"
        report.note(
            f"The net {so} the calibration images, as nets are on images that they were trained "
            "on. So its confidence is taken from copies of them, enlarged by 5 %, of which it is "
            f"{100 * copies:.1f} % sure; images that it was not trained on say more."
        )
    lost = loss or Loss(100.0, 100.0, 100.0)
    by = (
        f"by the net's own confidence and the errors on {judge.images} held-out images (relative "
        f"{error:.2g})"
    )
    if lost.value > PROMISED_POINTS:
        report.note(
            f"This may lose more than {PROMISED_POINTS:g} point of accuracy: {lost} are expected, "
            f"{by}."
        )
    else:
        report.note(f"Expected loss: {lost} points of accuracy, {by}.")
