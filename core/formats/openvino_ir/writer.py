"""OpenVINO IR exporter: OpenVINO's own ONNX reader and serializer, weights as they are unless told.

`save_model` stores float weights in 16 bits by default; here that is a variant of its own, since it
changes the answers. Integer weights of a QDQ model stay integers in both.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from core.errors import BackendUnavailable, ConversionFailed

HALF = "fp16"


class OpenVinoWriter:
    """Writes model.xml and model.bin."""

    name = "openvino"

    def version(self) -> str:
        """The installed version of OpenVINO.

        Raises:
            BackendUnavailable: it is not installed.
        """
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            raise BackendUnavailable(
                "OpenVINO, which writes OpenVINO IR, is not installed.",
                "pip install -r requirements.txt",
            ) from None

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        """Write the model.

        Raises:
            ConversionFailed: OpenVINO's words, which name the operators that it does not know.
        """
        import openvino as ov

        try:
            read = ov.Core().read_model(str(model))
            ov.save_model(read, str(out / "model.xml"), compress_to_fp16=variant == HALF)
        except Exception as error:  # the vendor's exceptions share no base of their own
            raise ConversionFailed(f"OpenVINO could not convert it: {error}") from error
        return ("Float weights are stored in 16 bits.",) if variant == HALF else ()
