"""Interface: what a caller of the files must know and ncnn's own do not say.

ncnn's blobs have no batch, at most four axes, and float32 alone. `model.json` says for each input
and output of the ONNX model which blob it is, its shape and type, and whether its first axis counts
images, each of which is a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx_ir as ir

from core.formats.base.prepared import Prepared, shape_of
from core.formats.ncnn.batch import counts_images
from core.formats.ncnn.net import Net


def write(net: Net, found: Prepared, blobs: dict[str, str], path: Path) -> None:
    """Write `model.json`."""
    graph = found.graph.graph
    inputs = [v for v in graph.inputs if v.const_value is None]
    said = {
        "inputs": [_said(net, v, net.blob(v).name, v.name in found.batch) for v in inputs],
        "outputs": [
            _said(net, v, blobs[v.name or ""], counts_images(v, found)) for v in graph.outputs
        ],
    }
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _said(net: Net, value: ir.Value, blob: str, batch: bool) -> dict[str, Any]:
    dtype = value.dtype
    return {
        "name": value.name,
        "blob": blob,
        "blob_shape": list(net.blob(value).form),
        "shape": list(shape_of(value) or net.shape(value)),
        "type": "float32" if dtype is None else dtype.numpy().name,
        "batch": batch,
    }
