"""QDQ writer: a plan becomes QuantizeLinear and DequantizeLinear nodes.

    producer -> Quantize -> Dequantize -> consumers

A runtime fuses Dequantize -> operator -> Quantize into one integer kernel, but only if nothing else
reads the operator's float output: so every consumer, integer or not, reads the dequantized tensor.
A tensor that a float node makes keeps its float consumers as they are. ReLU and Clip that the grid
makes superfluous are dropped. A chain of Reshape and Transpose, such as a channel shuffle, is
written without pairs inside or behind it: ONNX Runtime puts them there by itself, and OpenVINO
only without them knows a shuffle, which it has a kernel for.

ONNX Runtime quantizes the weights of a float Conv or Gemm by itself, with one scale, where it
stands between Dequantize and Quantize. A layer that is to stay float therefore reads through a Clip
without bounds, which does nothing but break that pattern. Another one stands behind a float MaxPool
whose output is quantized: ONNX Runtime would quantize its input instead, and take the maximum of
integers by a kernel that needs a third of the time of all of SqueezeNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from core.analysis.edits import sweep
from core.compress.quantization.constants import Constants
from core.compress.quantization.packing import dequantized, unpacked
from core.compress.quantization.partition import Selection, data_inputs
from core.compress.quantization.qparams import Grid, Weight, bias_codes
from core.compress.refit.linear_layers import Layer

SELF_QUANTIZED = frozenset({"Conv", "ConvTranspose", "Gemm"})
LIFTED = frozenset({"MaxPool"})  # a Quantize behind it is moved before it
LAYOUT = frozenset({"Reshape", "Transpose"})
PAIRED = frozenset({"Pad", "Gemm", "MatMul"})  # take their integers from a pair right before them


@dataclass(frozen=True)
class QuantizationPlan:
    """Everything that the writer needs.

    Attributes:
        selection: which nodes and tensors.
        grids: root tensor -> its grid.
        weights: node name -> its integers; what is left out keeps its float weights.
    """

    selection: Selection
    grids: Mapping[str, Grid]
    weights: Mapping[str, Weight] = field(default_factory=dict)

    def grid(self, tensor: str) -> Grid:
        """The grid of a quantized tensor."""
        return self.grids[self.selection.tensors[tensor]]


def written(graph: ir.Model, plan: QuantizationPlan) -> ir.Model:
    """A copy of the prepared `graph` with the plan written into it."""
    copy = graph.clone()
    main = copy.graph
    constants = Constants(main)
    nodes = {node.name or "": node for node in main}
    for name in plan.selection.weighted:
        if name in plan.weights:
            _write_weight(main, nodes[name], plan, constants)
    for bound, producer in plan.selection.bounded.items():
        _drop_bound(main, nodes[bound], nodes[producer])
    values = {v.name: v for v in main.inputs} | {v.name: v for n in main for v in n.outputs}
    for tensor in plan.selection.tensors:
        _wrap(main, values[tensor], tensor, plan, constants)
    main.sort()
    return copy


def _write_weight(
    main: ir.Graph, node: ir.Node, plan: QuantizationPlan, constants: Constants
) -> None:
    weight, first = plan.weights[node.name or ""], node.inputs[0]
    if node.op_type == "MatMul":
        _write_matmul(main, node, weight, constants)
        return
    old = [node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None]
    node.replace_input_with(1, unpacked(node, weight, constants))
    if weight.bias is not None:
        tensor = (first.name or "") if first is not None else ""
        value = _bias(node, weight, plan.grid(tensor) if tensor in plan.selection.tensors else None,
                      constants)  # fmt: skip
        if len(node.inputs) < 3:
            node.resize_inputs(3)
        node.replace_input_with(2, value)
    for spare in old:
        if spare is not None:
            sweep(main, spare)


def _write_matmul(main: ir.Graph, node: ir.Node, weight: Weight, constants: Constants) -> None:
    """A MatMul has no place for a bias: that is in the Add behind it, or there is none."""
    layer, old = Layer(node), node.inputs[1]
    if weight.bias is not None and layer.output != node.outputs[0].name:
        layer.write(layer.matrix(), weight.bias)
        old = node.inputs[1]
    node.replace_input_with(1, unpacked(node, weight, constants))
    if old is not None:
        sweep(main, old)


def _bias(node: ir.Node, weight: Weight, grid: Grid | None, constants: Constants) -> ir.Value:
    """The bias: int32 where the input has a grid, else as it is."""
    if weight.bias is None:
        raise ValueError(f"{node.name} adds nothing")
    stem = f"{node.name}_bias"
    if grid is None:
        return constants.add(stem, weight.bias.astype(np.float32))
    numbers, product = bias_codes(weight.bias, grid.scale, weight.scales)
    codes = constants.add(f"{stem}_codes", numbers)
    product = product if weight.scales.size > 1 else product[:1]
    return dequantized(node, stem, codes, product, ir.DataType.INT32, 0, constants)


def _drop_bound(main: ir.Graph, bound: ir.Node, producer: ir.Node) -> None:
    """Let `producer` make what its ReLU or Clip made, under that name."""
    before, after = producer.outputs[0], bound.outputs[0]
    name = after.name
    spare = [v for v in bound.inputs[1:] if v is not None]
    after.replace_all_uses_with(before, replace_graph_outputs=True)
    main.remove(bound, safe=True)
    before.name = name
    for value in spare:
        sweep(main, value)


def _wrap(
    main: ir.Graph, value: ir.Value, tensor: str, plan: QuantizationPlan, constants: Constants
) -> None:
    grid = plan.grid(tensor)
    producer = value.producer()
    ours = producer is not None and (producer.name or "") in plan.selection.nodes
    if ours and producer is not None and _in_chain(producer, plan):
        return
    uses = [use for use in value.uses() if ours or _reads_integers(use.node, value, plan)]
    output = ours and value.is_graph_output()
    scale = constants.add(f"{tensor}_scale", np.array(grid.scale, np.float32))
    zero = constants.add(f"{tensor}_zero", np.array(grid.zero, grid.dtype))
    if ours and producer is not None and producer.op_type == "Pad":
        _pad_codes(main, producer, zero, scale)
        return
    coded = ir.Value(
        name=f"{tensor}_quantized",
        shape=value.shape,
        type=ir.TensorType(zero.dtype or ir.DataType.UINT8),
    )
    back = ir.Value(name=f"{tensor}_dequantized", shape=value.shape, type=value.type)
    taken, held = value, []
    if not ours and producer is not None and producer.op_type in LIFTED:
        taken = ir.Value(name=f"{tensor}_held", shape=value.shape, type=value.type)
        held = [ir.Node("", "Clip", [value], name=f"{tensor}_hold", outputs=[taken])]
    pair = [
        *held,
        ir.Node("", "QuantizeLinear", [taken, scale, zero], name=f"{tensor}_q", outputs=[coded]),
        ir.Node("", "DequantizeLinear", [coded, scale, zero], name=f"{tensor}_dq", outputs=[back]),
    ]
    guarded = [use for use in uses if _tempting(use.node, plan)]
    for use in uses:
        use.node.replace_input_with(use.idx, back)
    if output:
        main.outputs[list(main.outputs).index(value)] = back
        value.name, back.name = f"{tensor}_real", tensor
    if guarded:
        still = ir.Value(name=f"{tensor}_float", shape=value.shape, type=value.type)
        pair.append(ir.Node("", "Clip", [back], name=f"{tensor}_guard", outputs=[still]))
        for use in guarded:
            use.node.replace_input_with(use.idx, still)
    if producer is not None:
        main.insert_after(producer, pair)
    else:
        main.insert_before(main[0], pair)


def _in_chain(node: ir.Node, plan: QuantizationPlan) -> bool:
    """Whether another of its kind stands next to a Reshape or Transpose, and none needs codes."""
    output = node.outputs[0]
    users = [use.node for use in output.uses()]
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    near = [n for n in (source, *users) if n is not None and n.op_type in LAYOUT]
    if node.op_type not in LAYOUT or output.is_graph_output():
        return False
    inside = [n for n in near if (n.name or "") in plan.selection.nodes]
    return bool(inside) and not any(user.op_type in PAIRED for user in users)


def _tempting(node: ir.Node, plan: QuantizationPlan) -> bool:
    """Whether ONNX Runtime would quantize the weights of this float layer on its own."""
    return node.op_type in SELF_QUANTIZED and (node.name or "") not in plan.selection.nodes


def _pad_codes(main: ir.Graph, pad: ir.Node, zero: ir.Value, scale: ir.Value) -> None:
    """Let a Pad of zeros work on the integers themselves: runtimes have no fused kernel for it."""
    value, dequantize = pad.outputs[0], pad.inputs[0].producer()  # type: ignore[union-attr]
    if dequantize is None:
        raise ValueError(f"{pad.name} reads no integers")
    back = ir.Value(name=f"{value.name}_dequantized", shape=value.shape, type=value.type)
    value.replace_all_uses_with(back)
    pad.replace_input_with(0, dequantize.inputs[0])
    if not dequantize.outputs[0].uses() and not dequantize.outputs[0].is_graph_output():
        main.remove(dequantize, safe=True)
    fill = pad.inputs[2] if len(pad.inputs) > 2 else None
    if len(pad.inputs) < 3:
        pad.resize_inputs(3)
    pad.replace_input_with(2, zero)
    if fill is not None:
        sweep(main, fill)
    value.type = ir.TensorType(zero.dtype or ir.DataType.UINT8)
    node = ir.Node(
        "", "DequantizeLinear", [value, scale, zero], name=f"{value.name}_dq", outputs=[back]
    )
    main.insert_after(pad, node)


def _reads_integers(node: ir.Node, value: ir.Value, plan: QuantizationPlan) -> bool:
    return (node.name or "") in plan.selection.nodes and value in data_inputs(node)
