"""ONNX: the gate that reads an upload, and refuses what is broken, foreign or hostile."""

from core.formats.base import Format

FORMAT = Format("ONNX", "What Lathe itself works on.", ".onnx", {"": "as it is"})
