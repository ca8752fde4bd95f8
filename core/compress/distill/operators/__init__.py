"""ONNX operators by PyTorch, for the layers of vision nets; opsets 7 to 24."""

from core.compress.distill.operators import layers, layout, pointwise, pools
from core.compress.distill.operators.call import Array, Call, Operator, Tensor

OPERATORS: dict[str, Operator] = (
    layers.OPERATORS | layout.OPERATORS | pointwise.OPERATORS | pools.OPERATORS
)

__all__ = ["OPERATORS", "Array", "Call", "Operator", "Tensor"]
