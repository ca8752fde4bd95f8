"""QuantizeLinear, DequantizeLinear and Cast: from numbers to codes, back, and between types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx_ir as ir

from core.formats.tflite.codes import SHIFT, grid_of, type_of
from core.formats.tflite.flatbuffer import Grid
from core.formats.tflite.net import Net, Stored
from core.formats.tflite.refusal import Refused

FINE = (ir.DataType.INT16, ir.DataType.UINT16)  # codes whose rounding is left out


def cast(net: Net, node: ir.Node) -> None:
    """CAST; between float types nothing, as all are computed in float32."""
    x = net.real(node.inputs[0])
    kind = net.kind(node.outputs[0])
    if kind == x.kind:
        net.put(node.outputs[0], x)
        return
    y = net.made(node.outputs[0], x.order, kind)
    net.file.op("CAST", [x.tensor], [y.tensor])


def quantize(net: Net, node: ir.Node) -> None:
    """QUANTIZE; codes of another grid are written anew, those of the same are the same."""
    x, grid = net.given(node.inputs[0]), grid_of(node)
    if grid is None:
        if type_of(node) not in FINE:
            raise Refused("its codes have no one grid of 8 bits that is known")
        net.notes["Activations of more than 8 bits are computed in float."] = None
        net.put(node.outputs[0], replace(net.numbers(x), coded=True))
        return
    if x.coded:
        raise Refused("it quantizes the codes of a quantized tensor")
    if x.grid == grid:
        net.put(node.outputs[0], replace(x, coded=True))
        return
    if x.kind not in ("float32", "int8"):
        raise Refused(f"there is no kernel for {x.kind}")
    y = net.made(node.outputs[0], x.order, grid=grid, coded=True)
    net.file.op("QUANTIZE", [x.tensor], [y.tensor])


def dequantize(net: Net, node: ir.Node) -> None:
    """What codes mean; written only where somebody reads it as numbers."""
    if not net.has(node.inputs[0]):
        return  # a constant, which its readers find by themselves
    x, grid = net.given(node.inputs[0]), grid_of(node)
    if x.coded and (x.grid == grid or x.grid is None):
        net.put(node.outputs[0], replace(x, coded=False))
        return
    if x.coded or grid is None or x.kind not in ("int8", "uint8"):
        raise Refused("it reads codes by another grid than they were written with")
    net.put(node.outputs[0], _of_input(net, x, grid))


def _of_input(net: Net, x: Stored, grid: Grid) -> Stored:
    """Codes that the model is given: int8 as they are, uint8 shifted, which changes no number."""
    held = net.file.tensors[x.tensor]
    own = grid if x.kind == "int8" else Grid(grid.scale, grid.zero + SHIFT)
    if held.grid not in (None, own):
        raise Refused("its input is read by another grid too")
    held.grid = own
    if x.kind == "int8":
        return replace(x, grid=grid)
    made = net.fresh(x.shape, x.order, "int8", f"{held.name}_signed", grid)
    net.file.op("QUANTIZE", [x.tensor], [made.tensor])
    return made


OPERATORS: Mapping[str, Callable[[Net, ir.Node], None]] = {
    "Cast": cast,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
}
