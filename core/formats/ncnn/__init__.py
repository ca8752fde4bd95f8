"""ncnn: a .param of layers, a .bin of weights, and a .json of inputs and outputs beside them."""

from core.formats.base import Format
from core.formats.ncnn.writer import HALF, NcnnWriter

FORMAT = Format(
    "ncnn",
    "Read by ncnn on phones and boards; run once for each image.",
    ".param",
    {"": "weights as they are", HALF: "float weights stored in 16 bits"},
    NcnnWriter(),
    frozenset({HALF}),
)
