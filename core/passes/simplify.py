"""Compute once what never changes, and drop what changes nothing: constants, identities, dead code.

The work is done by onnxscript's constant folder and rewrite rules and by the passes of onnx_ir.
Left alone on purpose: what draws random numbers, quantize and dequantize nodes (their constants are
the quantization), constants that would grow the file, and Flatten, which says more than Reshape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from core.calibration.services import Services
from core.graph import all_graphs, constant, infer_shapes
from core.graph.operators import QUANTIZERS, RANDOM, STANDARD
from core.graph.silence import quiet
from core.passes.base import SIZE, TIME, Graph, Pass, Report, Tries
from core.records import Note

FOLDING_FAILED = re.compile(r"constant folding for node .([^ ]*). ")
ROUNDS = 3
LARGEST_GROWTH = 1 << 10  # elements that a folded constant may have beyond what it replaces
FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from"
# Rule -> the first opset whose operators it reads and writes: before it, what the rule takes for an
# input (a limit, a padding, an axis) is an attribute, or what it writes does not exist yet.
RULES = {
    "add_0_rule": 7, "sub_0_rule": 7, "mul_by_1_rule": 7, "div_by_1_rule": 7,
    "dropout_zero_rule": 12, "dropout_inference_rule": 12,
    "no_op_cast_rule": 1, "no_op_expand_rule": 8,
    "no_op_transpose_rule": 1, "transpose_transpose_rule": 1,
    "reshape_reshape_rule": 5, "unsqueeze_unsqueeze_rule": 13,
    "collapse_slice_rule": 10, "collapse_slice2_rule": 10, "materialize_reshape_shape_rule": 14,
    "successive_relu_rule": 6, "successive_clip_rule": 11, "successive_clip_relu_rule": 11,
    "successive_relu_clip_rule": 11,
    "normalize_pad_format_conv_rule": 11, "fuse_pad_into_conv_rule": 11,
}  # fmt: skip
KEEP = RANDOM | QUANTIZERS | {"Dropout", "ConstantOfShape"}


# The folder writes some operators in words that older opsets lack (Split with `num_outputs`,
# Unsqueeze with axes as an input), and CastLike without its `saturate`.
NEEDS = {
    "SequenceConstruct": 13, "ConcatFromSequence": 13, "SequenceAt": 13, "SplitToSequence": 18,
}  # fmt: skip


@dataclass(frozen=True)
class Simplify(Pass):
    """Fold constants and remove nodes without effect."""

    label: ClassVar[str] = "Simplify"
    help: ClassVar[str] = (
        "Folds constants and removes nodes without effect: same outputs, a cleaner graph. Little "
        "gain in time on runtimes that clean up on their own."
    )
    gives: ClassVar[str] = "constants folded, dead code and identities removed"
    limits: ClassVar[str] = "most runtimes do it as well; it makes the file smaller"
    order: ClassVar[int] = 5
    exact: ClassVar[bool] = True
    pays: ClassVar[Mapping[str, Tries]] = {TIME: ({},), SIZE: ({},)}

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Repeat folding and rewriting until nothing changes, then tidy up."""
        before = _count(graph)
        kept = _not_to_fold(graph)
        for node, reason in kept:
            report.skip(node.name, Note.of("simplify.folds_nothing", why=reason))
        with quiet():
            infer_shapes(graph)  # stale shapes in the file would be folded as facts
            folds = not kept
            for _ in range(ROUNDS):
                changed, stuck = _folded(graph) if folds else (False, "")
                if stuck:
                    report.skip(stuck, Note.of("simplify.folder_fails"))
                    folds = False
                if not (_round(graph) or changed):
                    break
            _tidy(graph)
        _forget_origins(graph)
        report.changed = max(before - _count(graph), 0)
        report.note(Note.of("simplify.removed", removed=report.changed, nodes=before))


def _folded(graph: Graph) -> tuple[bool, str]:
    """Fold constants: whether any was, and the node at which the folder failed, if it did.

    It folds one node after another, so what it did before stands.
    """
    from onnxscript import optimizer

    try:
        return optimizer.fold_constants_ir(graph, should_fold=_should_fold).modified, ""
    except RuntimeError as error:
        where = FOLDING_FAILED.search(str(error))
        if where is None:
            raise
        return True, where[1]


def _round(graph: Graph) -> bool:
    """One turn of rewriting and cleaning; whether anything changed."""
    from onnx_ir.passes import common
    from onnxscript import rewriter
    from onnxscript.rewriter.rules import common as rules

    results: list[Any] = []
    opset = graph.graph.opset_imports.get("", 1)
    chosen: list[Any] = [getattr(rules, name) for name, first in RULES.items() if opset >= first]
    results.append(rewriter.RewritePass(chosen)(graph))
    bypassed = sum(_bypass(node) for inner in graph.graphs() for node in list(inner))
    results.append(common.RemoveUnusedNodesPass()(graph))
    return bool(bypassed) or any(result.modified for result in results)


def _bypass(node: ir.Node) -> bool:
    """Take an Identity, or a Dropout at inference, out of its graph; whether that could be done.

    onnx_ir's own pass fails where the value leaves a subgraph; here that node simply stays.
    """
    if node.domain not in STANDARD or not _does_nothing(node):
        return False
    source, output, inner = node.inputs[0], node.outputs[0], node.graph
    if source is None or inner is None:
        return False
    if output.is_graph_output():
        producer = source.producer()
        if producer is None or producer.graph is not inner or source.is_graph_output():
            return False
        name, source.type, source.shape = output.name, output.type, output.shape
        output.replace_all_uses_with(source, replace_graph_outputs=True)
        inner.remove(node, safe=True)
        source.name = name
    else:
        output.replace_all_uses_with(source)
        inner.remove(node, safe=True)
    return True


def _does_nothing(node: ir.Node) -> bool:
    if node.op_type == "Identity":
        return True
    if node.op_type != "Dropout" or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return False
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return node.attributes.get_int("is_test", 1) != 0
    training = constant(node.inputs[2])
    return training is not None and not training.any()


def _tidy(graph: Graph) -> None:
    from onnx_ir.passes import common

    for tidy in (
        common.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        common.OutputFixPass(),
        common.TopologicalSortPass(),
        common.NameFixPass(),
    ):
        tidy(graph)


def _should_fold(node: ir.Node) -> bool | None:
    """False keeps the node; True folds it however large; None leaves it to the folder's limits."""
    if node.op_type in KEEP:
        return False
    if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
        return None
    grown = 0
    for output in node.outputs:
        shape = output.shape
        if shape is None or not all(isinstance(d, int) for d in shape):
            return None
        grown += math.prod(d for d in shape if isinstance(d, int))
    freed = sum(
        value.const_value.size
        for value in node.inputs
        if value is not None and value.const_value is not None and len(value.uses()) == 1
    )
    return grown - freed <= LARGEST_GROWTH


def _not_to_fold(graph: Graph) -> list[tuple[ir.Node, Note]]:
    """Nodes that the folder would rewrite into something else, each with the reason."""
    opset = graph.graph.opset_imports.get("", 1)
    found = []
    for node in (node for inner in all_graphs(graph) for node in inner):
        if opset < NEEDS.get(node.op_type, 0):
            first = NEEDS[node.op_type]
            old = Note.of("simplify.old_opset", operator=node.op_type, first=first)
            found.append((node, old))
        elif node.op_type == "CastLike" and node.attributes.get_int("saturate", 1) == 0:
            found.append((node, Note.of("simplify.unsaturated")))
    return found


def _count(graph: Graph) -> int:
    return sum(len(inner) for inner in all_graphs(graph))


def _forget_origins(graph: Graph) -> None:
    """Drop the diary that the folder keeps in the metadata."""
    for inner in all_graphs(graph):
        for value in inner.initializers.values():
            value.metadata_props.pop(FOLDED_FROM, None)
        for node in inner:
            node.metadata_props.pop(FOLDED_FROM, None)
            for value in node.outputs:
                value.metadata_props.pop(FOLDED_FROM, None)


PASS = Simplify
