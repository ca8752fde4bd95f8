"""Operators that work on each element: activations, arithmetic, comparisons, casts."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx

from core.compress.distill.operators.call import Call, Operator, Tensor

SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def _unary(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        return getattr(call.torch, name)(call.tensor())

    return run


def _functional(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        return getattr(call.torch.nn.functional, name)(call.tensor())

    return run


def _binary(name: str) -> Operator:
    def run(call: Call) -> Tensor:
        return getattr(call.torch, name)(call.tensor(0), call.tensor(1))

    return run


def _folded(name: str) -> Operator:
    """Sum, Max and Min of any number of inputs."""

    def run(call: Call) -> Tensor:
        inputs = (call.tensor(i) for i in range(len(call.inputs)))
        return functools.reduce(getattr(call.torch, name), inputs)

    return run


def _divide(call: Call) -> Tensor:
    one, other = call.tensor(0), call.tensor(1)
    mode = None if one.is_floating_point() else "trunc"
    return call.torch.div(one, other, rounding_mode=mode)


def _mean(call: Call) -> Tensor:
    return _folded("add")(call) / len(call.inputs)


def _clip(call: Call) -> Tensor:
    low = call.get("min", None) if call.opset < 11 else call.array(1)
    high = call.get("max", None) if call.opset < 11 else call.array(2)
    bounds = [None if b is None else float(b) for b in (low, high)]
    return call.tensor() if bounds == [None, None] else call.torch.clamp(call.tensor(), *bounds)


def _leaky_relu(call: Call) -> Tensor:
    return call.torch.nn.functional.leaky_relu(call.tensor(), call.get("alpha", 0.01))


def _prelu(call: Call) -> Tensor:
    x = call.tensor()
    return call.torch.where(x >= 0, x, x * call.tensor(1))


def _elu(call: Call) -> Tensor:
    return call.torch.nn.functional.elu(call.tensor(), call.get("alpha", 1.0))


def _celu(call: Call) -> Tensor:
    return call.torch.celu(call.tensor(), call.get("alpha", 1.0))


def _selu(call: Call) -> Tensor:
    alpha, gamma = call.get("alpha", SELU[0]), call.get("gamma", SELU[1])
    return gamma * call.torch.nn.functional.elu(call.tensor(), alpha)


def _hard_sigmoid(call: Call) -> Tensor:
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    return call.torch.clamp(alpha * call.tensor() + beta, 0.0, 1.0)


def _gelu(call: Call) -> Tensor:
    how = call.get("approximate", "none")
    return call.torch.nn.functional.gelu(call.tensor(), approximate=how)


def _swish(call: Call) -> Tensor:
    x = call.tensor()
    return x * call.torch.sigmoid(call.get("alpha", 1.0) * x)


def _thresholded_relu(call: Call) -> Tensor:
    x = call.tensor()
    return call.torch.where(x > call.get("alpha", 1.0), x, call.torch.zeros_like(x))


def _where(call: Call) -> Tensor:
    return call.torch.where(call.tensor(0), call.tensor(1), call.tensor(2))


def _cast(call: Call) -> Tensor:
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.attributes["to"]))
    return call.tensor().to(getattr(call.torch, kind.name))


def _cast_like(call: Call) -> Tensor:
    return call.tensor().to(call.tensor(1).dtype)


def _same(call: Call) -> Any:
    return call.inputs[0]


OPERATORS: dict[str, Operator] = {
    "Relu": _unary("relu"),
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "Erf": _unary("erf"),
    "Exp": _unary("exp"),
    "Log": _unary("log"),
    "Sqrt": _unary("sqrt"),
    "Reciprocal": _unary("reciprocal"),
    "Abs": _unary("abs"),
    "Neg": _unary("neg"),
    "Sin": _unary("sin"),
    "Cos": _unary("cos"),
    "Floor": _unary("floor"),
    "Ceil": _unary("ceil"),
    "Round": _unary("round"),
    "Sign": _unary("sign"),
    "Not": _unary("logical_not"),
    "HardSwish": _functional("hardswish"),
    "Mish": _functional("mish"),
    "Softplus": _functional("softplus"),
    "Softsign": _functional("softsign"),
    "Add": _binary("add"),
    "Sub": _binary("sub"),
    "Mul": _binary("mul"),
    "Div": _divide,
    "Pow": _binary("pow"),
    "Equal": _binary("eq"),
    "Greater": _binary("gt"),
    "GreaterOrEqual": _binary("ge"),
    "Less": _binary("lt"),
    "LessOrEqual": _binary("le"),
    "And": _binary("logical_and"),
    "Or": _binary("logical_or"),
    "Sum": _folded("add"),
    "Max": _folded("maximum"),
    "Min": _folded("minimum"),
    "Mean": _mean,
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": _same,
    "Dropout": _same,
}
