"""The net before and after as plain data: the browser lays it out and draws it.

A node is a mapping: `name`, `kind`, `op`, `reads`, `layer`, `partner` (its position on the other
side), `constant`, `real` (whether it makes real numbers), `in` and `out` (shapes), `precision` (of
the file), `ran` (as measured), `parameters`, `macs`, `bytes`, `inner` (nodes of subgraphs), `ms`,
`error` (of the outputs, relative to their variance), `did` (what passes say of it). Names are as in
the file: whoever draws them must keep them text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.charts import palette, steps, text
from core.charts.conditions import threads_text
from core.charts.counterparts import Places, counterparts
from core.charts.sensitivity import percent
from core.passes.base import label
from core.records import Explanation, GraphNode, Json, Note, Profile, StepReport, Topology

MOST_NODES = 4_000  # that are drawn one by one
MOST_LAYERS = 5_000
FLOATS = ("float", "float16", "bfloat16", "double")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        title: "Original", or the name of the recipe.
        digest: of its file.
        topology: what it is.
        report: what the passes did that made it.
    """

    title: str
    digest: str
    topology: Topology
    report: tuple[StepReport, ...] = ()


def net(sides: Sequence[Side], answer: Explanation | None = None) -> Json:
    """One model, or the original and what a recipe made of it.

    Args:
        sides: one or two.
        answer: layer times of these very models, where they were measured.
    """
    profiles = (answer.before, answer.after) if answer is not None else (None, None)
    report = sides[-1].report
    places: list[Places] = [(None,) * len(side.topology.nodes) for side in sides]
    if len(sides) > 1:
        places = list(counterparts(sides[0].topology, sides[1].topology))
    drawn = [
        _side(side, partners, _Known(profile, report), profile)
        for side, partners, profile in zip(sides, places, profiles, strict=False)
    ]
    return {
        "sides": drawn,
        "colours": list(_colours(profiles[0], bool(errors(report)))),
        "all_nodes": max(len(side.topology.nodes) for side in sides) <= MOST_NODES,
    }


def too_many(sides: Sequence[Side]) -> str:
    """Why these nets are not drawn, or only folded; empty where they are drawn whole."""
    for side in sides:
        inner = _inner(side)
        nodes = side.topology.left_out or len(inner)
        layers = len({node.layer for node in inner})
        if side.topology.left_out or layers > MOST_LAYERS:
            return f"{side.title} has {nodes:,} nodes, too many for a picture."
        if nodes > MOST_NODES:
            return f"{side.title} has {nodes:,} nodes, which are shown as {layers:,} layers."
    return ""


def is_drawn(sides: Sequence[Side]) -> bool:
    """Whether these nets can be drawn, folded at least."""
    return all(
        not side.topology.left_out and len({node.layer for node in _inner(side)}) <= MOST_LAYERS
        for side in sides
    )


class _Known:
    """What is known of the nodes of one side by their names."""

    def __init__(self, profile: Profile | None, report: tuple[StepReport, ...]) -> None:
        self.told, self.errors = told(report), errors(report)
        self.ms: dict[str, float] = {}
        self.ran: dict[str, str] = {}
        for layer in profile.layers if profile is not None else ():
            self.ms[layer.name] = self.ms.get(layer.name, 0.0) + 1e3 * layer.seconds
            if layer.role == "compute" and layer.precision:
                self.ran[layer.name] = layer.precision


def _side(side: Side, partners: Places, known: _Known, profile: Profile | None) -> Json:
    nodes = side.topology.nodes
    inner = _inner(side)
    about = f"{len(inner):,} nodes in {len({node.layer for node in inner}):,} layers"
    if profile is not None:
        about += f", {text.number(1e3 * profile.layers_s)} ms in layers"
    return {
        "title": side.title,
        "about": about,
        "digest": side.digest,
        "ms": 1e3 * profile.layers_s if profile is not None else None,
        "nodes": [
            _node(node, partner, known) for node, partner in zip(nodes, partners, strict=True)
        ],
    }


def _inner(side: Side) -> list[GraphNode]:
    """The nodes without the inputs and outputs of the graph, which are drawn beside them."""
    return [node for node in side.topology.nodes if node.op_type]


def _node(node: GraphNode, partner: int | None, known: _Known) -> Json:
    return {
        "name": node.name,
        "kind": node.kind,
        "op": node.op_type,
        "reads": list(node.reads),
        "layer": node.layer,
        "partner": partner,
        "constant": node.is_constant,
        "real": node.dtype in FLOATS,
        "in": _shape(node.input_shape),
        "out": _shape(node.output_shape),
        "precision": node.precision,
        "ran": known.ran.get(node.name, ""),
        "parameters": node.parameters,
        "macs": node.macs,
        "bytes": node.size_bytes,
        "inner": node.inner,
        "ms": known.ms.get(node.name),
        "error": known.errors.get(node.name),
        "did": known.told.get(node.name, []),
    }


def _shape(shape: tuple[int | str, ...] | None) -> str:
    return " × ".join(map(str, shape)) if shape else ""


def _colours(profile: Profile | None, has_errors: bool) -> Iterator[Json]:
    """What can be shown, the most telling first, each with where it comes from."""
    if profile is not None:
        where = f"{palette.label(profile.backend)}, {threads_text(profile.threads)}"
        about = f"Time of a layer, measured here on {where}: median of one call."
        yield {"key": "ms", "title": "time", "about": about}
    about = "Multiply-accumulates of one sample, counted from the file: no time was measured"
    yield {"key": "macs", "title": "MACs", "about": f"{about}{' for it' if profile else ''}."}
    if has_errors:
        about = (
            "Error of the outputs when this layer alone is quantized, in % of their variance, "
            "measured on the calibration images."
        )
        yield {"key": "error", "title": "quantization error", "about": about}
    source = "as the layers ran, else as the file says" if profile is not None else "by the file"
    yield {"key": "precision", "title": "precision", "about": f"Arithmetic {source}."}
    yield {"key": "parameters", "title": "parameters", "about": "Numbers in the weights."}


def errors(report: Sequence[StepReport]) -> dict[str, float]:
    """By layer, the error of the outputs when it alone is quantized; the last step decides."""
    return {
        layer: effect.error
        for step in report
        if not step.reverted
        for effect in step.effects
        if not effect.share  # one that removes channels is no quantization
        for layer in effect.layers
    }


def told(report: Sequence[StepReport]) -> dict[str, list[str]]:
    """By layer, what each pass says of it."""
    found: dict[str, list[str]] = {}
    for step in report:
        if step.reverted:
            continue
        for layer, words in _said(step):
            line = f"{label(step.step)}: {words}"
            if line not in found.setdefault(layer, []):
                found[layer].append(line)
    return found


def _said(step: StepReport) -> Iterator[tuple[str, str]]:
    for skip in step.skipped:
        yield skip.node, f"left alone, {steps.said(skip.reason)}"
    for cut in step.cuts:
        shared = f", together with {len(cut.layers) - 1} more" if len(cut.layers) > 1 else ""
        for layer in cut.layers:
            yield layer, f"{cut.removed:,} of {cut.channels:,} channels removed{shared}"
    for effect in step.effects:
        for layer in effect.layers if not effect.share else ():
            yield layer, f"alone in {effect.setting}, the outputs err by {percent(effect.error)}"
    said = {layer for one in step.cuts for layer in one.layers}
    for note in (*step.warnings, *step.notes):
        for layer in set(_names(note)) - said:
            yield layer, steps.said(note)


def _names(value: Any) -> Iterator[str]:
    """Every text among the values of a note: those that are names of layers find theirs."""
    if isinstance(value, Note):
        for one in value.values.values():
            yield from _names(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _names(one)
    elif isinstance(value, str):
        yield value
