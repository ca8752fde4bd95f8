"""MNN: one file of layers and weights, written by MNN's own converter."""

from core.formats.base import Format
from core.formats.mnn.writer import ARGUMENTS, MnnWriter

FORMAT = Format(
    "MNN",
    "Read by MNN on phones, boards and PCs.",
    ".mnn",
    {"": "weights as they are", "fp16": "float weights in 16 bits", "int8": "weights in 8 bits"},
    MnnWriter(),
    frozenset(ARGUMENTS),
)
