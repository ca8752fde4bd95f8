"""New initializers of a graph, under names that nothing has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from core.analysis.edits import names

Array = np.ndarray[Any, Any]


class Constants:
    """Adds initializers; reads the names of the graph once."""

    def __init__(self, main: ir.Graph) -> None:
        """Read the names of `main`."""
        self._main, self._taken = main, names(main)
        self._shared: dict[str, ir.Value] = {}
        self._kept: dict[tuple[int, str], tuple[Array, ir.Value]] = {}

    def add(self, stem: str, array: Array, dtype: ir.DataType | None = None) -> ir.Value:
        """A new initializer; `dtype` where numpy's own does not say (4 bits)."""
        name = self.fresh(stem)
        tensor = ir.Tensor(np.asarray(array, order="C"), dtype=dtype, name=name)
        kind, shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
        value = ir.Value(name=name, shape=shape, type=kind, const_value=tensor)
        self._main.register_initializer(value)
        return value

    def shared(self, stem: str, array: Array) -> ir.Value:
        """The initializer of this stem, made the first time that it is asked for."""
        if stem not in self._shared:
            self._shared[stem] = self.add(stem, array)
        return self._shared[stem]

    def kept(self, source: Array, stem: str, make: Callable[[], ir.Value]) -> ir.Value:
        """What `make` gives, made once for each array `source` and what the stem ends in.

        Layers that share a weight share the array that it is stored from.
        """
        key = id(source), stem.rpartition("_")[2]
        if key not in self._kept:
            self._kept[key] = source, make()
        return self._kept[key][1]

    def fresh(self, stem: str) -> str:
        """A name that nothing has, and now has."""
        name, count = stem, 0
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name
