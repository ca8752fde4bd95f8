"""What Lathe writes into a model's metadata: how to preprocess its input, and its class names."""

from __future__ import annotations

import json

import onnx_ir as ir

from core.records import Preprocess, from_json, parse_json, to_json

PREPROCESS_KEY = "lathe.preprocess"
LABELS_KEY = "lathe.labels"


def preprocess(graph: ir.Model) -> Preprocess | None:
    """The preprocessing that the model carries; None if there is none, or none that is readable."""
    try:
        return from_json(Preprocess, parse_json(graph.metadata_props[PREPROCESS_KEY]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def set_preprocess(graph: ir.Model, value: Preprocess) -> None:
    """Let the model carry `value`."""
    graph.metadata_props[PREPROCESS_KEY] = json.dumps(to_json(value), sort_keys=True)


def labels(graph: ir.Model) -> tuple[str, ...]:
    """The class names that the model carries; empty if there are none."""
    try:
        names = parse_json(graph.metadata_props[LABELS_KEY])
    except (KeyError, ValueError):
        return ()
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def set_labels(graph: ir.Model, names: tuple[str, ...]) -> None:
    """Let the model carry the class names."""
    graph.metadata_props[LABELS_KEY] = json.dumps(list(names))
