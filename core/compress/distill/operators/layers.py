"""Layers with weights, and norms: the statistics of a batch norm stay frozen."""

from __future__ import annotations

from typing import Any

from core.compress.distill.operators.call import Call, Operator, Tensor
from core.compress.distill.operators.padding import pad, window


def _conv(call: Call) -> Tensor:
    x, weight = call.tensor(0), call.tensor(1)
    windows = window(call, weight.shape[2:], x.shape[2:])
    even = all(begin == end for begin, end in windows.pads)
    padding = [begin for begin, _ in windows.pads] if even else 0
    conv = getattr(call.torch.nn.functional, f"conv{weight.dim() - 2}d")
    return conv(
        x if even else pad(call, x, windows.pads), weight, call.optional(2), windows.strides,
        padding, windows.dilations, call.get("group", 1),
    )  # fmt: skip


def _conv_transpose(call: Call) -> Tensor:
    """The whole result first; then the pads are cut off it, and the output padding put behind."""
    x, weight = call.tensor(0), call.tensor(1)
    rank = weight.dim() - 2
    strides = call.ints("strides") or [1] * rank
    dilations = call.ints("dilations") or [1] * rank
    conv = getattr(call.torch.nn.functional, f"conv_transpose{rank}d")
    groups = call.get("group", 1)
    whole = conv(x, weight, None, strides, groups=groups, dilation=dilations)
    more = call.ints("output_padding") or [0] * rank
    sizes = [size + extra for size, extra in zip(whole.shape[2:], more, strict=True)]
    wanted = _transposed_sizes(call, x, strides)
    given = call.ints("pads") or [0] * (2 * rank)
    cuts = list(zip(given[:rank], given[rank:], strict=True))
    if wanted:
        lower = call.get("auto_pad", "NOTSET") != "SAME_UPPER"
        cuts = [_cut(size - want, lower) for size, want in zip(sizes, wanted, strict=True)]
    result = pad(
        call, whole, [(-begin, extra - end) for (begin, end), extra in zip(cuts, more, strict=True)]
    )
    bias = call.optional(2)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def _transposed_sizes(call: Call, x: Tensor, strides: list[int]) -> list[int] | None:
    if shape := call.ints("output_shape"):
        return shape[-len(strides) :]
    if call.get("auto_pad", "NOTSET").startswith("SAME"):
        return [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    return None


def _cut(total: int, lower: bool) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def _gemm(call: Call) -> Tensor:
    one, other = call.tensor(0), call.tensor(1)
    one = one.transpose(0, 1) if call.get("transA", 0) else one
    other = other.transpose(0, 1) if call.get("transB", 0) else other
    product = call.get("alpha", 1.0) * (one @ other)
    return product + call.get("beta", 1.0) * call.tensor(2) if call.has(2) else product


def _matmul(call: Call) -> Tensor:
    return call.torch.matmul(call.tensor(0), call.tensor(1))


def _batch_norm(call: Call) -> Tensor:
    """By the statistics that it is given; by those of the batch where it is given none."""
    x, scale, shift, mean, variance = call.tensor(0), *(call.optional(i) for i in range(1, 5))
    norm, epsilon = call.torch.nn.functional.batch_norm, call.get("epsilon", 1e-5)
    return norm(x, mean, variance, scale, shift, mean is None, 0.0, epsilon)


def _instance_norm(call: Call) -> Tensor:
    x, scale, shift = (call.tensor(i) for i in range(3))
    epsilon = call.get("epsilon", 1e-5)
    norm = call.torch.nn.functional.instance_norm
    return norm(x, weight=scale, bias=shift, eps=epsilon)


def _layer_norm(call: Call) -> Tensor:
    x, scale = call.tensor(0), call.tensor(1)
    axes = _from(call, x)
    centred = x - x.mean(axes, keepdim=True)
    variance = (centred * centred).mean(axes, keepdim=True)
    normal = centred * call.torch.rsqrt(variance + call.get("epsilon", 1e-5)) * scale
    return normal + call.tensor(2) if call.has(2) else normal


def _rms_norm(call: Call) -> Tensor:
    x = call.tensor(0)
    power = (x * x).mean(_from(call, x), keepdim=True)
    return x * call.torch.rsqrt(power + call.get("epsilon", 1e-5)) * call.tensor(1)


def _from(call: Call, x: Tensor) -> list[int]:
    axis = call.get("axis", -1)
    return list(range(axis if axis >= 0 else x.dim() + axis, x.dim()))


def _group_norm(call: Call) -> Tensor:
    x, scale, shift = (call.tensor(i) for i in range(3))
    groups, epsilon = call.attributes["num_groups"], call.get("epsilon", 1e-5)
    if scale.shape[0] == groups:  # before opset 21: one for each group
        each = x.shape[1] // groups
        scale, shift = scale.repeat_interleave(each), shift.repeat_interleave(each)
    return call.torch.nn.functional.group_norm(x, groups, scale, shift, epsilon)


def _lrn(call: Call) -> Tensor:
    """Divide x by (bias + alpha / size * sum of squares over `size` channels) ** beta."""
    x, size = call.tensor(), call.attributes["size"]
    before, behind = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = call.torch.nn.functional.pad(
        (x * x).unsqueeze(1), [0] * (2 * (x.dim() - 2)) + [before, behind]
    )
    summed = squares.unfold(2, size, 1).sum(-1).squeeze(1)
    divisor = call.get("bias", 1.0) + call.get("alpha", 1e-4) / size * summed
    return x / divisor ** call.get("beta", 0.75)


def _einsum(call: Call) -> Any:
    return call.torch.einsum(
        call.attributes["equation"], *(call.tensor(i) for i in range(len(call.inputs)))
    )


OPERATORS: dict[str, Operator] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "LRN": _lrn,
}
