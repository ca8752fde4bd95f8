"""ONNX Runtime's own profile: its JSON of kernel times, and the graph that it really ran.

The times are in the file that `enable_profiling` writes. Which kernels are integer, what was
fused and what the layout optimizer put in is read from the optimized graph, written beside it.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from core.backends.base import Tensors, onnx_nodes, onnx_settings
from core.backends.base.profile import (
    CAST,
    COMPUTE,
    OTHER,
    QUANTIZE,
    REORDER,
    FileNode,
    Origins,
    TimedLayer,
)
from core.errors import InferenceFailed
from core.records import Json, RunOptions

ENDING = "_kernel_time"
_INTEGER = re.compile(r"QLinear|QGemm|Integer|DynamicQuantizeMatMul|QAttention|QConv")
_ROLES = {
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), QUANTIZE),
    "Cast": CAST,
    **dict.fromkeys(("ReorderInput", "ReorderOutput"), REORDER),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape"), OTHER),
    **dict.fromkeys(("Constant", "ConstantOfShape", "Gather", "Range", "Expand"), OTHER),
}
_PRECISIONS = {
    "float": "f32", "float16": "f16", "double": "f64", "bfloat16": "bf16", "int8": "int8",
    "uint8": "int8", "int16": "int16", "uint16": "int16", "int4": "int4", "uint4": "int4",
}  # fmt: skip
# What the graph optimizers add around a name of the file.
_ADDED = re.compile(r"^InsertedPrecisionFreeCast_|_token_\d+$|_nchwc$|_bn$")


class OnnxProfileSession:
    """An InferenceSession that keeps the time of every kernel."""

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Load `model`.

        Raises:
            InferenceFailed: ONNX Runtime does not take the model.
        """
        import onnxruntime as ort

        self._scratch = tempfile.TemporaryDirectory(prefix="profile-")
        folder = Path(self._scratch.name)
        self._model, self._optimized = model, folder / "optimized.onnx"
        settings = onnx_settings.settings(options)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(folder / "times")
        settings.optimized_model_filepath = str(self._optimized)
        for key, value in (
            # Weights go into a file of their own: only the graph is read again.
            ("session.optimized_model_external_initializers_file_name", "weights.bin"),
            ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ):
            settings.add_session_config_entry(key, value)
        try:
            self._session: Any = ort.InferenceSession(
                str(model), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the vendor's exceptions share no base of their own
            self._scratch.cleanup()
            raise InferenceFailed(f"ONNX Runtime could not load it: {error}") from error

    def run(self, feeds: Tensors) -> None:
        """Run once.

        Raises:
            InferenceFailed: ONNX Runtime's words.
        """
        try:
            self._session.run(None, feeds)
        except Exception as error:
            raise InferenceFailed(f"ONNX Runtime could not run it: {error}") from error

    def layers(self) -> tuple[TimedLayer, ...]:
        """Every kernel of the main graph."""
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        return rows(events, onnx_nodes.read(self._optimized), onnx_nodes.read(self._model))

    def close(self) -> None:
        """Free the session and its files."""
        self._session = None
        self._scratch.cleanup()


def rows(events: Iterable[Json], ran: Any, file: Any) -> tuple[TimedLayer, ...]:
    """Times of the profile joined with the graph that ran (`ran`) and the one of the file."""
    times: dict[str, list[float]] = defaultdict(list)
    first: dict[str, Json] = {}
    for event in _outermost(e for e in events if _is_kernel(e)):
        name = event["name"].removesuffix(ENDING)
        times[name].append(event["dur"] / 1e6)
        first.setdefault(name, event["args"])
    origins, nodes = onnx_nodes.origins(file), {node.name: node for node in ran.node}
    sources = _sources(ran)
    return tuple(
        _row(name, args, nodes.get(name), origins, sources.get(name, ()), times[name])
        for name, args in first.items()
    )


def _row(
    name: str,
    args: Json,
    node: Any,
    origins: Origins,
    sources: tuple[str, ...],
    seconds: list[float],
) -> TimedLayer:
    op_type = str(args.get("op_name", ""))
    domain = node.domain if node is not None else ""
    outputs = tuple(node.output) if node is not None else ()
    origin = origins.of(op_type, map(_plain, (name, *outputs)))
    role = _ROLES.get(op_type, COMPUTE)
    if op_type == "Transpose" and origins.nodes.get(origin, FileNode("")).op_type != "Transpose":
        role, origin = REORDER, ""  # put in by the layout optimizer, named after its neighbour
    if role in (QUANTIZE, CAST, REORDER):
        origin = _plain(name)
    return TimedLayer(
        node=name,
        name=origin or _plain(name),
        op_type=op_type,
        role=role,
        precision=_precision(op_type, args),
        provider=str(args.get("provider", "")).removesuffix("ExecutionProvider"),
        implementation=f"{domain}.{op_type}".removeprefix("com.microsoft.").lstrip("."),
        sources=sources,
        seconds=tuple(seconds),
    )


def _is_kernel(event: Json) -> bool:
    return event.get("cat") == "Node" and str(event.get("name", "")).endswith(ENDING)


def _outermost(events: Iterable[Json]) -> Iterator[Json]:
    """Without the kernels that ran inside another one: the bodies of If, Loop and Scan."""
    end = -1.0
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        if event["ts"] >= end or event["ts"] + event["dur"] > end:
            end = max(end, event["ts"] + event["dur"])
            yield event


def _precision(op_type: str, args: Json) -> str:
    """From the operator, or the types that went in and came out."""
    if _INTEGER.search(op_type):
        return "int8"
    kinds = [next(iter(shape)) for key in ("input_type_shape", "output_type_shape")
             for shape in (args.get(key) or ())[:1] if shape]  # fmt: skip
    return next((_PRECISIONS[kind] for kind in kinds if kind in _PRECISIONS), "")


def _plain(name: str) -> str:
    """A name without what the optimizers added to it."""
    while (shorter := _ADDED.sub("", name)) != name:
        name = shorter
    return name


def _sources(graph: Any) -> dict[str, tuple[str, ...]]:
    made = onnx_nodes.makers(graph)
    return {
        node.name: tuple(dict.fromkeys(made[v] for v in node.input if v in made))
        for node in graph.node
    }
