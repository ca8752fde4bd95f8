"""int8 of a model by onnxruntime.quantization or by NNCF, as their documentation says.

    PYTHON benchmarks/quantizers.py stock|nncf MODEL.onnx FEEDS.npy OUT.onnx

FEEDS holds the inputs ready made, (count, ...). Needs nothing of this project, so that it runs in
an environment of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx


def stock(model: Path, feeds: Path, out: Path) -> None:
    """Pre-processing and static quantization, min-max ranges, per channel."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = rows(model, feeds)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._rows, None)

    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(out),
        Reader(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def nncf(model: Path, feeds: Path, out: Path) -> None:
    """NNCF's defaults."""
    import nncf as library

    inputs = list(rows(model, feeds))  # views of the file, not copies
    quantized = library.quantize(onnx.load(model), library.Dataset(inputs), subset_size=len(inputs))
    onnx.save(quantized, out)


def rows(model: Path, feeds: Path) -> Iterator[dict[str, Any]]:
    """The inputs one by one, read from the disk as they are needed."""
    graph = onnx.load(model, load_external_data=False).graph
    constants = {one.name for one in graph.initializer}
    name = next(one.name for one in graph.input if one.name not in constants)
    for row in np.load(feeds, mmap_mode="r"):
        yield {name: np.asarray(row[None])}


if __name__ == "__main__":
    {"stock": stock, "nncf": nncf}[sys.argv[1]](*map(Path, sys.argv[2:5]))
