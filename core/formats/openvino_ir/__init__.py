"""OpenVINO IR: an .xml graph with its weights in a .bin beside it."""

from core.formats.base import Format
from core.formats.openvino_ir.writer import HALF, OpenVinoWriter

FORMAT = Format(
    "OpenVINO IR",
    "Read by OpenVINO without its ONNX reader.",
    ".xml",
    {"": "weights as they are", HALF: "float weights stored in 16 bits"},
    OpenVinoWriter(),
    frozenset({HALF}),
)
