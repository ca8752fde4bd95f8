"""TFLite: a flatbuffer for LiteRT, formerly TensorFlow Lite, written straight from ONNX."""

from core.formats.base import Format
from core.formats.tflite.writer import TfliteWriter

FORMAT = Format(
    "TFLite",
    "Read by LiteRT (TensorFlow Lite) on phones, boards and PCs.",
    ".tflite",
    {"": "weights as they are", "fp16": "float weights stored in 16 bits"},
    TfliteWriter(),
    half=frozenset({"fp16"}),
    fixed=True,
)
