"""Training mode: nodes that compute otherwise than they would in a network that is in use.

A batch norm in training mode takes mean and variance from the batch that it is given, and a dropout
throws values away at random, so that an answer depends on what stands beside it in the batch. What
says so differs by opset: `is_test` before 7, more outputs than one from 7 on, `training_mode` from
14; of Dropout an input from 12 on.
"""

from __future__ import annotations

import onnx_ir as ir

from core.analysis.values import constant_tensor
from core.graph.operators import STANDARD
from core.records import Note

BY_OUTPUTS, BY_ATTRIBUTE, DROPOUT_BY_INPUT = 7, 14, 12


def is_training(node: ir.Node, opset: int) -> bool:
    """Whether a node computes as in training."""
    if node.domain not in STANDARD or node.op_type not in ("BatchNormalization", "Dropout"):
        return False
    if opset < BY_OUTPUTS:
        return not node.attributes.get_int("is_test", 0)
    if node.op_type == "Dropout":
        return opset >= DROPOUT_BY_INPUT and _is_true(node)
    if opset >= BY_ATTRIBUTE:
        return bool(node.attributes.get_int("training_mode", 0))
    return any(out.name for out in node.outputs[1:])


def exported_so(nodes: list[ir.Node], opset: int) -> Note | None:
    """That a file was exported in training mode; None of any other."""
    found = [node.op_type for node in nodes if is_training(node, opset)]
    if not found:
        return None
    norms, dropouts = found.count("BatchNormalization"), found.count("Dropout")
    return Note.of("training.exported", norms=norms, dropouts=dropouts)


def _is_true(node: ir.Node) -> bool:
    given = node.inputs[2] if len(node.inputs) > 2 else None
    tensor = constant_tensor(given) if given is not None else None
    return tensor is not None and tensor.size == 1 and bool(tensor.numpy().reshape(-1)[0])
