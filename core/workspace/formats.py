"""File formats as forms and commands name them."""

from core.formats.base import exported, label, parse
from core.records.artifacts import ONNX

__all__ = ["ONNX", "exported", "label", "parse"]
