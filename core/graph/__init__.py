"""File <-> Graph, where Graph is `onnx_ir.Model`, unwrapped; only this package knows files."""

from core.graph.files import (
    Graph,
    check,
    digest,
    file_bytes,
    from_proto,
    handed_over,
    load,
    parse,
    read_proto,
    save,
    serialize,
    store,
    write,
    write_for,
)
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
from core.graph.skeleton import Values, cut
from core.graph.storage import is_large, let_go, map_file, weight_bytes
from core.graph.taking import pack, take
from core.graph.values import all_graphs, constant

__all__ = [
    "LABELS_KEY",
    "PREPROCESS_KEY",
    "Graph",
    "Values",
    "all_graphs",
    "check",
    "constant",
    "cut",
    "digest",
    "dynamic_dims",
    "file_bytes",
    "freeze",
    "from_proto",
    "handed_over",
    "infer_shapes",
    "input_specs",
    "labels",
    "is_large",
    "let_go",
    "load",
    "map_file",
    "normalise",
    "output_specs",
    "output_types",
    "pack",
    "parse",
    "preprocess",
    "read_proto",
    "save",
    "serialize",
    "set_labels",
    "set_preprocess",
    "store",
    "take",
    "write",
    "weight_bytes",
    "write_for",
]
