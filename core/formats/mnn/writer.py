"""MNN exporter: the converter inside MNN's wheel, called as its extension module.

The scripts beside it (`mnnconvert`, `mnnquant`) install a package and send statistics when they
are imported, so they never are. The converter says True whatever happened: the file is what counts.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from core.errors import BackendUnavailable, ConversionFailed

REMEDY = "pip install -r requirements/mnn.txt"
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "fp16": ("--fp16",),
    "int8": ("--weightQuantBits", "8"),
}
NOTES: Mapping[str, tuple[str, ...]] = {
    "fp16": ("Float weights are stored in 16 bits.",),
    "int8": ("Weights are stored in 8 bits; MNN computes in float.",),
}
# The converter ends the process on integer layers, or leaves no file.
_INTEGER = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})


class MnnWriter:
    """Writes model.mnn."""

    name = "MNN"

    def version(self) -> str:
        """The installed version of MNN.

        Raises:
            BackendUnavailable: it is not installed.
        """
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            words = "MNN, which writes MNN files, is not installed."
            raise BackendUnavailable(words, REMEDY) from None

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        """Write the model.

        Raises:
            ConversionFailed: it has integer layers, or the converter left no file.
        """
        import onnx

        try:
            nodes = onnx.load(str(model), load_external_data=False).graph.node
        except Exception as error:  # of protobuf, whose errors share no base with onnx's
            raise ConversionFailed(f"onnx could not read it: {error}") from error
        for node in nodes:
            if node.op_type in _INTEGER:
                raise ConversionFailed(f"MNN's converter takes no {node.op_type}: {node.name}.")
        import _tools

        file = out / "model.mnn"
        asked = ("MNNConvert", "-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(file))
        _tools.mnnconvert([*asked, "--bizCode", "model", *ARGUMENTS.get(variant, ())])
        if not file.is_file():
            kinds = ", ".join(sorted({node.op_type for node in nodes}))
            raise ConversionFailed(f"MNN's converter wrote no file; the model has: {kinds}.")
        return NOTES.get(variant, ())
