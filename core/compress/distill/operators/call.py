"""One node to be run: its inputs, attributes and the PyTorch that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Tensor = Any  # a torch.Tensor; PyTorch is an extra, so its types are not known here
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What an operator sees of a node.

    Attributes:
        torch: the module.
        op_type: ONNX operator.
        opset: version of the standard operators.
        inputs: tensors; None where an optional input is left out. What is computed from shapes
            alone, and constants that are not trained, come as numpy arrays.
        attributes: name -> plain value; tensors as numpy arrays.
        outputs: how many outputs the node has.
    """

    torch: Any
    op_type: str
    opset: int
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]
    outputs: int

    def has(self, position: int) -> bool:
        """Whether the optional input `position` is given."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def tensor(self, position: int = 0) -> Tensor:
        """Input `position` as a tensor."""
        value = self.inputs[position]
        return self.torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    def optional(self, position: int) -> Tensor:
        """Input `position` as a tensor, or None."""
        return self.tensor(position) if self.has(position) else None

    def array(self, position: int) -> Array | None:
        """Input `position` as an array that takes no part in training, or None."""
        if not self.has(position):
            return None
        value = self.inputs[position]
        return value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()

    def ints(self, attribute: str, position: int | None = None) -> list[int] | None:
        """Whole numbers that older opsets keep in an attribute and newer ones in an input."""
        if attribute in self.attributes:
            return [int(n) for n in np.atleast_1d(self.attributes[attribute])]
        found = None if position is None else self.array(position)
        return None if found is None else [int(n) for n in np.atleast_1d(found)]

    def get(self, attribute: str, default: Any) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(attribute, default)


Operator = Callable[[Call], Any]
