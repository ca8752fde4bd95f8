"""GPTQ: weights to integers, the scale of each channel, then the rounding.

- nearest: each weight by itself.
- gptq: the layer's output is what counts. With H the mean of x x' over the layer's inputs, columns
  are rounded one after another, and each takes up of the errors before it what makes the expected
  squared output error grow least:
      q_k = round(w_k + sum_{j<k} (w_j - q_j) U_jk),  H = U D U', U unit upper triangular,
  which is GPTQ without an inverse. Columns wait for the errors of earlier blocks in one product.
  Where a bias takes up what is shifted on average, H is the covariance of x instead.
  Columns go by falling H_jj, H gets a ridge of 1 % of its mean diagonal.
- scales: the largest magnitude for 8 bits; for fewer, the clip of a ladder whose weighted error
  sum H_jj (w_j - q_j)^2 is least.
- kernels without VNNI add the products of two neighbouring channels in 16 bits, which overflows
  unless |q_a + q_b| <= 128: the scale is widened until it holds for the real weights, and whichever
  of the two is rounded second keeps to it.

Source: Frantar et al. 2022, arXiv:2210.17323; Chee et al. 2023, arXiv:2307.13304, theorem 6 (the
form with U); Nagel et al. 2020, arXiv:2004.10568 (why nearest is not best).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compress.linalg.blocked_linalg import cholesky
from core.compress.quantization.qparams import SMALLEST_SCALE, Weight, widened
from core.compress.refit.linear_layers import Layer
from core.compress.refit.transposed_convolution import Transposed
from core.errors import PassPrecondition

Array = np.ndarray[Any, Any]
Matrix = NDArray[np.float64]

RIDGE = 1e-2
RIDGES = 4  # times ten, one after the other, before it is given up
CLIPS = np.linspace(0.35, 1.0, 40)
BLOCK = 128
WIDE = 1024  # columns
LARGEST_PAIR = 128  # 255 * 128 < 2^15


def quantized(
    layer: Layer,
    limit: int,
    per_channel: bool = True,
    second: Matrix | None = None,
    input_scale: float | None = None,
    bits: int = 8,
    paired: bool = False,
) -> Weight:
    """The integers of a layer.

    Args:
        layer: whose weights.
        limit: largest magnitude.
        per_channel: one scale per output channel.
        second: (groups, d, d), the mean of x x'; None rounds to nearest.
        input_scale: of the activations, so that the bias fits; None where the bias stays float.
        bits: width of the codes.
        paired: neighbouring input channels must not overflow 16 bits together.
    """
    matrix = layer.matrix()
    partner = neighbours(matrix.shape[2], layer.taps) if paired else None
    weights = np.ones(matrix.shape[::2]) if second is None else _diagonal(second)
    scales = _scales(matrix, limit, weights, search=bits < 8)
    if partner is not None:
        scales = np.maximum(scales, np.abs(matrix + matrix[:, :, partner]).max(2) / LARGEST_PAIR)
    if not per_channel:
        scales = np.full_like(scales, scales.max())
    bias = layer.bias()
    given = bias if bias.any() else None
    if input_scale is not None:
        flat = widened(scales.reshape(-1), given, input_scale)
        scales = flat.reshape(scales.shape)
    scales = scales.astype(np.float32).astype(np.float64)
    if second is None:
        codes = nearest(matrix, scales, limit, partner)
    else:
        codes = gptq(matrix, scales, limit, second, partner)
    flat = scales.reshape(-1) if per_channel else scales.reshape(-1)[:1]
    axis = output_axis(layer)
    return Weight(laid(layer, codes).astype(np.int8), flat.astype(np.float32), axis, given, bits)


def output_axis(layer: Layer) -> int:
    """The axis of the output channels in the file's layout of a weight."""
    node = layer.node
    turned = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    return 0 if node.op_type == "Conv" or turned else 1


def laid(layer: Layer, matrix: Array) -> Array:
    """A (groups, outputs, inputs) matrix in the file's layout of the weight."""
    if isinstance(layer, Transposed):
        return layer.laid(matrix)
    if layer.node.op_type == "Conv":
        return matrix.reshape(layer.weight.shape)
    return matrix[0] if output_axis(layer) == 0 else np.ascontiguousarray(matrix[0].T)


def in_rows(layer: Layer, weight: Weight) -> Matrix:
    """What the codes stand for, as float64 (groups, outputs, inputs): the way back of `laid`."""
    values = weight.values().astype(np.float64)
    if isinstance(layer, Transposed):
        return layer.in_rows(values)
    if layer.node.op_type != "Conv" and weight.axis == 1:
        values = values.T
    return np.asarray(values.reshape(layer.matrix().shape))


def neighbours(columns: int, taps: int) -> NDArray[np.int64]:
    """Column -> the one of the neighbouring input channel under the same tap."""
    channel, tap = np.divmod(np.arange(columns), taps)
    return np.asarray((channel ^ 1) * taps + tap)


def nearest(
    matrix: Matrix, scales: Matrix, limit: int, partner: NDArray[np.int64] | None = None
) -> Matrix:
    """Codes by rounding each weight; scales (groups, outputs)."""
    codes = np.clip(np.rint(matrix / scales[:, :, None]), -limit, limit)
    if partner is not None:
        late = np.flatnonzero(partner < np.arange(len(partner)))
        first = codes[:, :, partner[late]]
        codes[:, :, late] = np.clip(codes[:, :, late], -LARGEST_PAIR - first, LARGEST_PAIR - first)
    return np.asarray(codes)


def gptq(
    matrix: Matrix,
    scales: Matrix,
    limit: int,
    second: Matrix,
    partner: NDArray[np.int64] | None = None,
) -> Matrix:
    """Codes by the rounding that spreads errors; all groups and outputs at once."""
    order = np.argsort(-_diagonal(second), axis=1)
    back = np.argsort(order, axis=1)
    # Columns as rows: each is read and written whole.
    ordered = np.take_along_axis(matrix.transpose(0, 2, 1), order[:, :, None], 1)
    feedback = _feedback(second, order)
    codes, lost = np.zeros_like(ordered), np.zeros(ordered.shape, feedback.dtype)
    for start in range(0, ordered.shape[1], BLOCK):
        block = slice(start, min(start + BLOCK, ordered.shape[1]))
        ordered_block = ordered[:, block] + feedback[:, block, :start] @ lost[:, :start]
        for j, wanted in enumerate(ordered_block.transpose(1, 0, 2), start):
            wanted = wanted + (feedback[:, j, None, start:j] @ lost[:, start:j])[:, 0]
            code = np.clip(np.rint(wanted / scales), -limit, limit)
            if partner is not None:  # one that is not rounded yet still holds 0
                other = codes[0, back[0, partner[order[0, j]]]]
                code = np.clip(code, -LARGEST_PAIR - other, LARGEST_PAIR - other)
            codes[:, j] = code
            lost[:, j] = ordered[:, j] - code * scales
    return np.asarray(np.take_along_axis(codes, back[:, :, None], 1).transpose(0, 2, 1))


def _diagonal(second: Matrix) -> Matrix:
    return np.diagonal(second, axis1=1, axis2=2)


def _feedback(second: Matrix, order: NDArray[np.int64]) -> Matrix:
    """Row k: how much of the error of each column before k is taken up by column k.

    In the order of the columns H = U D U' with a unit upper U, whose transpose this is. Backwards,
    the factor is the usual one of Cholesky. That of a wide layer is made in single precision, which
    the ridge bears: it bounds the condition by d / RIDGE.
    """
    d = second.shape[1]
    kind = np.float32 if d >= WIDE else np.float64
    result = np.empty(second.shape, kind)
    for group, (whole, columns) in enumerate(zip(second, order[:, ::-1], strict=True)):
        turned = whole[columns[:, None], columns]
        lower = _factor(turned, kind)
        del turned
        lower /= np.diagonal(lower).copy()
        result[group] = lower[::-1, ::-1].T
    return result


def _factor(system: Matrix, kind: type[np.floating[Any]]) -> Array:
    """The lower factor of a covariance with its ridge, in this precision if that bears it.

    Where one direction has nearly all the power, single precision does not; and sums that were
    made in it may be off by more than the ridge, which then grows.
    """
    # A floor in absolute terms: inputs that are always zero would leave nothing to invert.
    ridge = max(RIDGE * float(np.trace(system)) / len(system), 1e-10)
    diagonal = np.diag_indices(len(system))
    system[diagonal] += ridge
    try:
        return cholesky(system.astype(kind, copy=False))
    except np.linalg.LinAlgError:
        wider = system.astype(np.float64)
    for _ in range(RIDGES):
        try:
            return cholesky(wider).astype(kind)
        except np.linalg.LinAlgError:
            wider[diagonal] += 9 * ridge
            ridge *= 10
    raise PassPrecondition("The inputs of a layer vary in so few directions that none is left.")


def _scales(matrix: Matrix, limit: int, weights: Matrix, search: bool) -> Matrix:
    largest = np.maximum(np.abs(matrix).max(2), SMALLEST_SCALE * limit)
    if not search:
        return np.asarray(largest / limit)
    best, least = largest / limit, np.full(largest.shape, np.inf)
    for clip in CLIPS:
        scales = largest * clip / limit
        difference = matrix - nearest(matrix, scales, limit) * scales[:, :, None]
        error = np.einsum("goi,gi->go", difference**2, weights, optimize=True)
        better = error < least
        best, least = np.where(better, scales, best), np.where(better, error, least)
    return np.asarray(best)
