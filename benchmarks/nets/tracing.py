"""Write an ONNX graph node by node, and compute every node on a few probe images as it is written.

Because the values are there while the network is written, a batch norm can be given the very mean
and variance of its input, and a classifier the scale of its features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from core import graph as graphs
from core.records import Preprocess

Array = NDArray[Any]
OPSET = 17
IR_VERSION = 8
BATCH = "N"


@dataclass(frozen=True)
class Tensor:
    """A value of the graph, and what it is on the probe images (batch first)."""

    symbol: ir.Value
    array: Array

    @property
    def channels(self) -> int:
        """Size of axis 1."""
        return int(self.array.shape[1])


class Tracer:
    """A graph being written.

    Attributes:
        keep_batch_norms: write BatchNormalization nodes; otherwise fold them into convolutions, as
            exporters do in inference mode.
        random: the only source of randomness, so a seed gives a file.
    """

    def __init__(
        self, images: Array, seed: int, keep_batch_norms: bool = False, name: str = "input"
    ) -> None:
        """`images` are the probes, preprocessed: (count, 3, H, W) float32."""
        self.random = np.random.default_rng(seed)
        self.keep_batch_norms = keep_batch_norms
        self._nodes: list[ir.Node] = []
        self._weights: list[ir.Value] = []
        symbol = ir.Value(
            name=name,
            shape=ir.Shape([BATCH, *images.shape[1:]]),
            type=ir.TensorType(ir.DataType.FLOAT),
        )
        self.input = Tensor(symbol, images)

    def weight(self, array: Array) -> Tensor:
        """An initializer; floating point is stored as float32."""
        if array.dtype.kind == "f":
            array = np.ascontiguousarray(array, dtype=np.float32)
        name = f"onnx::Weight_{len(self._weights)}"
        symbol = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=name),
        )
        self._weights.append(symbol)
        return Tensor(symbol, array)

    def constant(self, value: float | Sequence[int] | Array) -> Tensor:
        """A Constant node: float32 for numbers, int64 for sequences of integers."""
        is_number = isinstance(value, float)
        array = np.asarray(value, dtype=np.float32) if is_number else np.asarray(value)
        return self.emit("Constant", [], [array], value=ir.tensor(array))[0]

    def op(self, kind: str, *inputs: Tensor | None, **attributes: Any) -> Tensor:
        """Write a node with one output and compute it."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(
        self, kind: str, outputs: int, *inputs: Tensor | None, **attributes: Any
    ) -> list[Tensor]:
        """Write a node with several outputs and compute it."""
        arrays = [one.array if one else None for one in inputs]
        return self.emit(kind, inputs, compute(kind, arrays, outputs, **attributes), **attributes)

    def emit(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        arrays: Sequence[Array],
        **attributes: Any,
    ) -> list[Tensor]:
        """Write a node whose outputs are known to be `arrays`."""
        name = f"/{kind}_{len(self._nodes)}"
        outputs = [
            ir.Value(
                name=f"{name}_output_{index}",
                type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            )
            for index, array in enumerate(arrays)
        ]
        node = ir.node(
            kind,
            [one.symbol if one else None for one in inputs],
            attributes=attributes,
            outputs=outputs,
            name=name,
        )
        self._nodes.append(node)
        return [Tensor(value, array) for value, array in zip(outputs, arrays, strict=True)]

    def finish(self, outputs: dict[str, Tensor], name: str, preprocess: Preprocess) -> ir.Model:
        """The model with these outputs; axis 0 of each is the batch."""
        for title, tensor in outputs.items():
            tensor.symbol.name = title
            tensor.symbol.shape = ir.Shape([BATCH, *tensor.array.shape[1:]])
        graph = ir.Graph(
            [self.input.symbol],
            [tensor.symbol for tensor in outputs.values()],
            nodes=self._nodes,
            initializers=self._weights,
            opset_imports={"": OPSET},
            name=name,
        )
        model = ir.Model(graph, ir_version=IR_VERSION, producer_name="benchmarks.nets")
        graphs.set_preprocess(model, preprocess)
        return model


def compute(
    kind: str, arrays: Sequence[Array | None], outputs: int = 1, **attributes: Any
) -> list[Array]:
    """What one node gives on these inputs, by ONNX Runtime."""
    names = ["" if array is None else f"i{index}" for index, array in enumerate(arrays)]
    given = {
        name: np.asarray(array, order="C")
        for name, array in zip(names, arrays, strict=True)
        if array is not None
    }
    results = [f"o{index}" for index in range(outputs)]
    node = onnx.helper.make_node(kind, names, results, **attributes)
    graph = onnx.helper.make_graph(
        [node],
        kind,
        [_declared(name, array) for name, array in given.items()],
        [onnx.ValueInfoProto(name=name) for name in results],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, given))


def _declared(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)
