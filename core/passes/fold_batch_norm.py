"""Merge batch normalisations into the layers beside them, so that nothing is left to compute.

At inference BatchNormalization is affine per channel: y = s x + t, with s = gamma / sqrt(var + eps)
and t = beta - mean s. After a layer, y = s (W x + b) + t = (s W) x + (s b + t). Before a layer,
W (s x + t) + b = (W s) x + (W t + b), which zero padding would spoil at the border unless t = 0.
Both are exact but for rounding; the algebra runs in float64.

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from core.calibration.services import Services
from core.compress.folding.rewrite import FoldPlan, add_shift, bypass, carry_out
from core.compress.folding.rules import after, before, called
from core.graph import all_graphs, infer_shapes
from core.graph.batch_norm import Affine, read
from core.graph.operators import STANDARD
from core.passes.base import Graph, Pass, Report
from core.records import Note


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold every batch norm whose neighbour can take it over; say why each other one stays."""

    label: ClassVar[str] = "Fold batch norms"
    help: ClassVar[str] = (
        "Merges batch norms into the layers beside them: same outputs, fewer nodes. No gain in "
        "time on runtimes that fold them on their own."
    )
    gives: ClassVar[str] = "batch norm into the layer before (or after) it, exactly"
    limits: ClassVar[str] = "runtimes fold it too; needed before pruning and int8"
    order: ClassVar[int] = 10
    exact: ClassVar[bool] = True
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {"advice.norms_fold": {}}

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Fold backward into producers first, then what is left forward into consumers."""
        found = [n for g in graph.graphs() for n in g if _is_batch_norm(n)]
        if any(_unknown_rank(node) for g in graph.graphs() for node in g):
            infer_shapes(graph)
        opset = graph.opset_imports.get("", 1)
        left: list[tuple[ir.Node, Note]] = []
        for node in found:
            reason = _fold_after(graph.graph, node, read(node, opset))
            if reason:
                left.append((node, reason))
        kept = 0
        for node, reason in left:
            blocked = _fold_before(graph.graph, node, read(node, opset))
            if blocked:
                kept += 1
                both = Note.of("fold.neither", after=reason, before=blocked)
                report.skip(node.name, reason if blocked == reason else both)
        report.changed = len(found) - kept
        _skip_functions(graph, report)
        if found:
            report.note(Note.of("fold.folded", folded=report.changed, found=len(found)))
        else:
            report.note(Note.of("fold.none"))
        if report.changed:
            report.note(Note.of("fold.merged_by_runtimes"))


def _is_batch_norm(node: ir.Node) -> bool:
    return node.op_type == "BatchNormalization" and node.domain in STANDARD


def _unknown_rank(node: ir.Node) -> bool:
    return node.op_type == "MatMul" and node.outputs[0].shape is None


def _fold_after(root: ir.Graph, node: ir.Node, affine: Affine | Note) -> Note | None:
    """Fold `node` into the layer before it; the reason if that cannot be."""
    if isinstance(affine, Note):
        return affine
    source = node.inputs[0]
    layer = source.producer() if source is not None else None
    if layer is not None and layer.graph is not node.graph:
        return Note.of("fold.after_outside", node=called(layer))
    plan = after(source, affine)
    if isinstance(plan, Note):
        return plan
    carry_out(root, plan)
    if plan.shift is None:
        bypass(node)
    else:
        add_shift(root, node, plan.shift)
    return None


def _fold_before(root: ir.Graph, node: ir.Node, affine: Affine | Note) -> Note | None:
    """Fold `node` into all the layers that it feeds; the reason if that cannot be."""
    if isinstance(affine, Note):
        return affine
    output = node.outputs[0]
    if output.is_graph_output():
        return Note.of("fold.output")
    consumers = list(dict.fromkeys(user for user, _ in output.uses()))
    if not consumers:
        return Note.of("fold.unused")
    plans: list[FoldPlan] = []
    for consumer in consumers:
        outside = consumer.graph is not node.graph
        plan = Note.of("fold.in_body") if outside else before(consumer, output, affine)
        if isinstance(plan, Note):
            return Note.of("fold.feeds", node=called(consumer), why=plan)
        plans.append(plan)
    for plan in plans:
        carry_out(root, plan)
    bypass(node)
    return None


def _skip_functions(graph: Graph, report: Report) -> None:
    main = set(graph.graphs())
    for inner in all_graphs(graph):
        for node in inner:
            if inner not in main and _is_batch_norm(node):
                report.skip(node.name, Note.of("fold.in_function"))


PASS = FoldBatchNorm
