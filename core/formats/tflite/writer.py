"""TFLite exporter: from an ONNX graph of known sizes to a .tflite file, without TensorFlow.

Every node is written by its family (`operators`); what cannot be is gathered over the whole graph
and told at once. Inputs and outputs keep names, shapes, order and types of the ONNX model. What was
written is opened by LiteRT before it is handed out.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import onnx_ir as ir

from core.errors import BackendUnavailable, ConversionFailed
from core.formats.base import prepared
from core.formats.tflite import codes, layout, patterns
from core.formats.tflite.codes import is_scaled
from core.formats.tflite.flatbuffer import Grid
from core.formats.tflite.net import HALF, Net, Stored
from core.formats.tflite.operators import OPERATORS
from core.formats.tflite.refusal import Obstacle, Refused, Unknown, failure
from core.graph import is_large, let_go, load, weight_bytes
from core.graph.operators import STANDARD

KINDS = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")
LARGEST_MODEL = 2 << 30  # bytes of weights


class TfliteWriter:
    """Writes model.tflite."""

    name = "ai-edge-litert"

    def version(self) -> str:
        """The installed version of LiteRT, which has the schema.

        Raises:
            BackendUnavailable: it is not installed.
        """
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            raise BackendUnavailable(
                "LiteRT, whose schema a .tflite file follows, is not installed.",
                "pip install -r requirements.txt",
            ) from None

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        """Write the model.

        Raises:
            ConversionFailed: with every operator that is in the way.
        """
        graph = load(model)
        _hold_to_size(graph, variant)
        net = written(graph, variant)
        path = out / "model.tflite"
        save(net, graph, path)
        if is_large(graph):
            let_go()
        _open(path)
        half = ("Float weights are stored in 16 bits and computed with in float.",)
        return (*(half if variant == HALF else ()), *net.notes)


def _hold_to_size(graph: ir.Model, variant: str) -> None:
    size = weight_bytes(graph)
    if size / (2 if variant == HALF else 1) > LARGEST_MODEL:
        raise ConversionFailed(
            f"Its weights take {size / 2**30:.1f} GiB; a .tflite file holds less than 2 GiB.",
            "Store weights in fewer bits.",
        )


def written(graph: ir.Model, variant: str = "") -> Net:
    """The network of a graph, which is used up.

    Raises:
        ConversionFailed: some operators cannot be written.
    """
    prepared.fixed(graph, {}, is_scaled)
    patterns.rewrite(graph)
    net = Net(graph, variant)
    obstacles: list[Obstacle] = []
    for value in graph.graph.inputs:
        try:
            _begin(net, value)
        except Refused as error:
            obstacles.append(Obstacle(value.name or "", "input", str(error)))
    for node in graph.graph:
        if node not in net.done and node.op_type != "Constant":
            _write(net, node, obstacles)
    if obstacles:
        raise failure(obstacles)
    return net


def save(net: Net, graph: ir.Model, path: Path) -> None:
    """Write the file.

    Raises:
        ConversionFailed: some outputs cannot be written, or it would be larger than a flatbuffer
            can be.
    """
    net.file.write(path, net.inputs, _outputs(net, graph))


def _begin(net: Net, value: ir.Value) -> None:
    """Declare an input as ONNX has it; half precision becomes float32 behind it."""
    shape = net.shape(value)
    dtype = value.dtype.name.lower() if value.dtype is not None else "?"
    kind = "float32" if dtype == "float" else dtype
    if kind not in KINDS:
        raise Refused(f"TFLite's kernels do not take {kind}")
    order = layout.plain(len(shape))
    found = net.fresh(shape, order, kind, value.name or "")
    net.inputs[value.name or ""] = found.tensor
    if kind == "float16":
        wide = net.fresh(shape, order, "float32", f"{value.name}_wide")
        net.file.op("CAST", [found.tensor], [wide.tensor])
        found = wide
    net.put(value, found)


def _write(net: Net, node: ir.Node, obstacles: list[Obstacle]) -> None:
    """Write a node, or note why it cannot be, and go on as if it had been."""
    write = OPERATORS.get(node.op_type) if node.domain in STANDARD else None
    try:
        if write is None:
            raise Refused("there is no such operator in TFLite")
        write(net, node)
        return
    except Unknown as error:
        if not net.doubtful & {value.name for value in node.inputs if value is not None}:
            obstacles.append(Obstacle.of(node, str(error)))
    except Refused as error:
        obstacles.append(Obstacle.of(node, str(error)))
    for output in node.outputs:
        net.doubtful.add(output.name or "")
        try:
            net.made(output)
        except Refused:
            continue


def _outputs(net: Net, graph: ir.Model) -> dict[str, int]:
    """Outputs by name, each a tensor of its own, as ONNX has it.

    Raises:
        ConversionFailed: some cannot be written.
    """
    outputs: dict[str, int] = {}
    taken, obstacles = set(net.inputs.values()), list[Obstacle]()
    for value in graph.graph.outputs:
        name = value.name or ""
        try:
            found = _output(net, value)
        except Refused as error:
            obstacles.append(Obstacle(name, "output", str(error)))
            continue
        if found.tensor in taken or net.is_constant(found.tensor):
            copy = net.fresh(found.shape, found.order, found.kind, name, found.grid)
            net.reshape(found.tensor, copy)
            found = copy
        taken.add(found.tensor)
        net.file.tensors[found.tensor].name = name
        outputs[name] = found.tensor
    if obstacles:
        raise failure(obstacles)
    return outputs


def _output(net: Net, value: ir.Value) -> Stored:
    """An output in ONNX's order and type."""
    found = net.given(value)
    if found.coded and found.grid is None:  # they are computed as the numbers that they stand for
        raise Refused("its codes have more than 8 bits")
    if not found.coded:
        found = net.numbers(found)
    return _as_declared(net, value, net.ordered(found, layout.plain(len(found.shape))))


def _as_declared(net: Net, value: ir.Value, found: Stored) -> Stored:
    """In the type that ONNX declares: halves, and codes without a sign."""
    dtype = value.dtype.name.lower() if value.dtype is not None else ""
    if dtype == "float16" and found.kind == "float32":
        made = net.fresh(found.shape, found.order, "float16", value.name or "")
        net.file.op("CAST", [found.tensor], [made.tensor])
        return made
    if dtype == "uint8" and found.kind == "int8" and found.grid is not None:
        grid = Grid(found.grid.scale, found.grid.zero + codes.SHIFT)
        made = net.fresh(found.shape, found.order, "uint8", value.name or "", grid)
        net.file.op("QUANTIZE", [found.tensor], [made.tensor])
        return made
    return found


def _open(path: Path) -> None:
    """Let LiteRT read what was written and check every operator, without packing weights.

    Raises:
        ConversionFailed: it does not take the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        Interpreter(str(path), experimental_op_resolver_type=plain).allocate_tensors()
    except (ValueError, RuntimeError) as error:
        path.unlink()
        words = " ".join(str(error).split()).replace(str(path), path.name)
        raise ConversionFailed(f"LiteRT does not take what was written: {words}") from error
