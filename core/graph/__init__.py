"""File <-> Graph, where Graph is `onnx_ir.Model`, unwrapped; only this package knows files."""

from core.graph.files import Graph, check, digest, load, parse, save, serialize, write
from core.graph.metadata import (
    LABELS_KEY,
    PREPROCESS_KEY,
    labels,
    preprocess,
    set_labels,
    set_preprocess,
)
from core.graph.normalise import normalise
from core.graph.shapes import (
    dynamic_dims,
    freeze,
    infer_shapes,
    input_specs,
    output_specs,
    output_types,
)
from core.graph.values import all_graphs, constant

__all__ = [
    "LABELS_KEY",
    "PREPROCESS_KEY",
    "Graph",
    "all_graphs",
    "check",
    "constant",
    "digest",
    "dynamic_dims",
    "freeze",
    "infer_shapes",
    "input_specs",
    "labels",
    "load",
    "normalise",
    "output_specs",
    "output_types",
    "parse",
    "preprocess",
    "save",
    "serialize",
    "set_labels",
    "set_preprocess",
    "write",
]
