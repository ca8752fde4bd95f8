"""Terms: formulas of one tensor and numbers, for operators that TFLite has no word for."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.formats.tflite.net import Net, Stored


class Terms:
    """Writes operators on tensors that lie in the order of the first one."""

    def __init__(self, net: Net, like: Stored) -> None:
        """Formulas over tensors like this one."""
        self._net, self._like = net, like

    def op(self, code: str, x: Stored, *others: Stored | float, **options: Any) -> Stored:
        """One operator; what broadcasts may be a number or a smaller tensor in the same order."""
        net, sides = self._net, [x.tensor]
        shape = x.shape
        for other in others:
            if isinstance(other, Stored):
                sides.append(other.tensor)
                shape = tuple(np.broadcast_shapes(shape, other.shape))
            else:
                sides.append(net.number(other, self._like.kind))
        made = net.fresh(shape, self._like.order, self._like.kind, f"{net.name(x)}_{code.lower()}")
        net.file.op(code, sides, [made.tensor], **options)
        return made

    def filled(self, value: float) -> Stored:
        """A number as a tensor that broadcasts to any."""
        rank = len(self._like.shape)
        tensor = self._net.listed(np.full((1,) * rank, value, self._like.kind))
        return Stored(tensor, (1,) * rank, self._like.order, self._like.kind)
