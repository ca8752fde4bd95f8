"""Sizes of a model for a format that holds them: open dimensions are frozen first."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core import graph as graphs
from core.data.input_sizes import FREE_BATCH, batches
from core.errors import ConversionFailed
from core.records import TensorSpec

Shapes = Mapping[str, Sequence[int | str]]


@contextlib.contextmanager
def sized(model: Path, shapes: Shapes) -> Iterator[Path]:
    """The model with all sizes of its inputs known; itself where they are already.

    Args:
        model: an ONNX file.
        shapes: of its inputs, as they are measured; a free batch that is not stated is one sample.

    Raises:
        ConversionFailed: nobody stated a size.
    """
    graph = graphs.load(model)
    dims = _dims(graphs.input_specs(graph), shapes)
    if not dims:
        yield model
        return
    graphs.freeze(graph, dims)
    with tempfile.TemporaryDirectory(prefix="lathe-sized-") as folder:
        path = Path(folder) / model.name
        graphs.write_for(path, graph)
        del graph
        yield path


def _dims(specs: Sequence[TensorSpec], shapes: Shapes) -> dict[str, int]:
    """The size of each open dimension."""
    free, found = batches(specs), dict[str, int]()
    for spec in specs:
        for dim, size in zip(spec.shape, shapes.get(spec.name, spec.shape), strict=True):
            if isinstance(dim, str) and isinstance(size, int):
                found[dim] = size
            elif isinstance(dim, str) and dim in free:
                found.setdefault(dim, FREE_BATCH)
    left = {d for spec in specs for d in spec.shape if isinstance(d, str)} - found.keys()
    if left:
        raise ConversionFailed(
            f"The model leaves {', '.join(sorted(left))} open, and this format holds sizes.",
            "Give the size to measure at, or freeze the model at it.",
        )
    return found
