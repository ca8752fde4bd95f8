"""Packed weights of 8 bits or fewer, and the nodes that turn them back into real numbers.

Two ways to store them, for a layer that computes in float:

- dequantize: int8 or INT4 (opset 21, two in a byte) behind DequantizeLinear, one scale per output
  channel. Every tool can read it, but ONNX Runtime dequantizes anew for every run.
- packed: codes side by side in the bits of words (two of 4 bits in a UINT8; ten of 3, six of 5 or
  five of 6 bits, for which ONNX has no type, in a UINT32 whose top bits stay 0: OpenVINO reads the
  uppermost as a sign), and
      BitwiseAnd, Cast, Mul, Reshape, Slice, Reshape, Sub, Mul
  to unpack them (opset 18); int8 needs only Cast and Mul. A code is moved down as a float, by a
  power of two, which is exact: OpenVINO shifts a UINT8 by a division that rounds, and OpenCV
  shifts by one number only. All of these are constants, so a runtime
  that folds constants unpacks while it loads and then runs at float speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.quantization.constants import Constants
from core.compress.quantization.qparams import Weight

Array = np.ndarray[Any, Any]

WORDS: dict[int, np.dtype[Any]] = {4: np.dtype(np.uint8)} | dict.fromkeys(
    (3, 5, 6), np.dtype(np.uint32)
)
OPSETS = {"dequantize": 21, "packed": 18}
WIDTHS = {"dequantize": (4, 8), "packed": (3, 4, 5, 6, 8)}
LIMITS = {bits: (1 << (bits - 1)) - 1 for bits in WIDTHS["packed"]}
CUT_BYTES = 256  # of the nodes that drop what fills up the last word, about


def stored_bytes(elements: int, bits: int, store: str) -> int:
    """Bytes in the file of so many codes."""
    if bits == 8:
        return elements
    if store == "dequantize":
        return -(-elements // 2)
    word = WORDS[bits].itemsize
    words = -(-elements // (word * 8 // bits))
    return words * word + (CUT_BYTES if elements % (word * 8 // bits) else 0)


def unpacked(node: ir.Node, weight: Weight, constants: Constants) -> ir.Value:
    """The real weights of `node`, computed from packed constants by nodes put before it."""
    stem = f"{node.name}_weight"
    if weight.packed:
        return _unfold(node, stem, weight, constants)
    kind = ir.DataType.INT4 if weight.bits <= 4 else ir.DataType.INT8
    name = f"{stem}_codes"
    codes = constants.kept(
        weight.codes, name, lambda: constants.add(name, weight.codes.astype(kind.numpy()), kind)
    )
    return dequantized(node, stem, codes, weight.scales, kind, weight.axis, constants)


def dequantized(
    node: ir.Node,
    stem: str,
    codes: ir.Value,
    scales: Array,
    kind: ir.DataType,
    axis: int,
    constants: Constants,
) -> ir.Value:
    """The real numbers behind constant `codes`, by a DequantizeLinear put before `node`."""
    single = scales.size == 1
    scales = scales.astype(np.float32).reshape(() if single else -1)
    zeros = np.zeros(scales.shape, kind.numpy())
    inputs = [
        codes,
        constants.add(f"{stem}_scale", scales),
        constants.add(f"{stem}_zero", zeros, kind),
    ]
    attributes = [] if single else [ir.AttrInt64("axis", axis)]
    return _before(node, "DequantizeLinear", inputs, attributes, f"{stem}_dequantized", codes.shape)


def packed(codes: Array, bits: int) -> Array:
    """Signed codes as words, the first one in the lowest bits, offset to be positive."""
    shifts = _shifts(bits)
    flat = (codes.reshape(-1).astype(np.int64) + (1 << (bits - 1))).astype(shifts.dtype)
    words = np.zeros((-(-flat.size // shifts.size), shifts.size), shifts.dtype)
    words.reshape(-1)[: flat.size] = flat
    return np.asarray((words << shifts).sum(1, dtype=shifts.dtype))


def _shifts(bits: int) -> Array:
    kind = WORDS[bits]
    return np.asarray(np.arange(kind.itemsize * 8 // bits) * bits, kind)


def _unfold(node: ir.Node, stem: str, weight: Weight, constants: Constants) -> ir.Value:
    shape, bits = weight.codes.shape, weight.bits
    spread = [1] * len(shape)
    if weight.scales.size > 1:
        spread[weight.axis] = -1
    factor = constants.add(f"{stem}_scale", weight.scales.reshape(spread).astype(np.float32))
    cast: tuple[str, list[ir.Value], list[ir.Attr]] = (
        "Cast",
        [],
        [ir.AttrInt64("to", int(ir.DataType.FLOAT))],
    )
    steps: Sequence[tuple[str, list[ir.Value], list[ir.Attr]]]
    if bits == 8:
        name = f"{stem}_codes"
        value = constants.kept(weight.codes, name, lambda: constants.add(name, weight.codes))
        steps = (cast, ("Mul", [factor], []))
    else:
        name = f"{stem}_words"
        value = constants.kept(
            weight.codes,
            name,
            lambda: constants.add(name, packed(weight.codes, bits)[:, None]),
        )
        given = {
            name: constants.shared(f"unpack_{bits}_{name}", array)
            for name, array in {
                "masks": (((1 << bits) - 1) << _shifts(bits).astype(np.int64)).astype(WORDS[bits])[
                    None
                ],
                "units": (0.5 ** _shifts(bits).astype(np.float32))[None],
                "offset": np.array(1 << (bits - 1), np.float32),
            }.items()
        }
        target = constants.add(f"{stem}_shape", np.array(shape))
        whole = weight.codes.size % _shifts(bits).size == 0
        steps = (
            ("BitwiseAnd", [given["masks"]], []),
            cast,
            ("Mul", [given["units"]], []),
            *(() if whole else _cut(stem, weight, constants)),
            ("Reshape", [target], []),
            ("Sub", [given["offset"]], []),
            ("Mul", [factor], []),
        )
    for index, (op_type, more, attributes) in enumerate(steps):
        value = _before(node, op_type, [value, *more], attributes, f"{stem}_{index}", None)
    value.shape, value.type = ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
    return value


def _cut(
    stem: str, weight: Weight, constants: Constants
) -> tuple[tuple[str, list[ir.Value], list[ir.Attr]], ...]:
    """Drop what fills up the last word."""
    flat = constants.shared("unpack_flat", np.array([-1]))
    start = constants.shared("unpack_start", np.array([0]))
    size = constants.add(f"{stem}_size", np.array([weight.codes.size]))
    return ("Reshape", [flat], []), ("Slice", [start, size], [])


def _before(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value],
    attributes: Sequence[ir.Attr],
    name: str,
    shape: ir.Shape | None,
) -> ir.Value:
    if not isinstance(node.graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    kind = ir.TensorType(ir.DataType.FLOAT) if shape is not None else None
    output = ir.Value(name=name, shape=shape, type=kind)
    made = ir.Node("", op_type, inputs, attributes, name=name, outputs=[output])
    node.graph.insert_before(node, made)
    return output
