"""TFLite flatbuffer: tensors, buffers and operators of one subgraph, and the file that they make.

Operators and their options go by the names of the schema, which is read from LiteRT's own package
when the file is written. A constant is copied once, from where it lies into the file's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ConversionFailed

Array = np.ndarray[Any, Any]
VERSION = 3
IDENTIFIER = b"TFL3"
SIGNATURE = "serving_default"
ALIGNMENT = 16  # of constants in the file: kernels read them in place
LARGEST = (1 << 31) - (1 << 20)  # bytes that 32-bit offsets reach, with room for the graph
OLD_CODES = 127  # operators up to here have a place in the first version of the schema
TYPES = {
    "float32": "FLOAT32", "float16": "FLOAT16", "float64": "FLOAT64", "bool": "BOOL",
    "int8": "INT8", "uint8": "UINT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
}  # fmt: skip
# Operator -> the schema's name of its options, where that is not simply its own.
OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions", "SELECT_V2": "SelectV2Options",
    "PADV2": "PadV2Options", "SPLIT_V": "SplitVOptions", "TOPK_V2": "TopKV2Options",
    "MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions",
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"),
        "ReducerOptions",
    ),
    **dict.fromkeys(
        ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "ELU", "PRELU",
         "FLOOR", "CEIL", "ROUND", "SQRT", "RSQRT", "LOG", "SIN"),
        "",
    ),
}  # fmt: skip
FIRST = {"BROADCAST_TO": 2}  # version of an operator that any file needs, where it is not 1
FIRST_INT8 = {  # version of an operator that takes int8, where it is not 2
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "QUANTIZE": 1, "RESHAPE": 1,
    "TRANSPOSE_CONV": 3, "BROADCAST_TO": 2, "GATHER": 2,
}  # fmt: skip


class Padding(IntEnum):
    """How windows meet the edge."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """What is fused behind an operator."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


@dataclass(frozen=True)
class Grid:
    """Scale and zero point of int8 codes; one scale for each entry of an axis, or a single one.

    Attributes:
        scale: float32, one or several.
        zero: the code of 0.
        axis: of the file's shape, that several scales belong to.
    """

    scale: tuple[float, ...]
    zero: int = 0
    axis: int = 0


@dataclass
class Tensor:
    """A tensor of the file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    data: Array | None = None
    grid: Grid | None = None


@dataclass(frozen=True)
class Operation:
    """One operator, its tensors by number (-1: left out), and its options."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class File:
    """What is written: tensors and operators in the order of running."""

    tensors: list[Tensor] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def tensor(
        self, name: str, shape: Sequence[int], kind: str, data: Array | None = None,
        grid: Grid | None = None,
    ) -> int:  # fmt: skip
        """Add a tensor; its number."""
        self.tensors.append(Tensor(name, tuple(map(int, shape)), kind, data, grid))
        return len(self.tensors) - 1

    def constant(self, name: str, data: Array, grid: Grid | None = None) -> int:
        """Add a tensor of known values; its number."""
        return self.tensor(name, data.shape, data.dtype.name, data, grid)

    def op(self, code: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """Add an operator."""
        self.operations.append(Operation(code, tuple(inputs), tuple(outputs), options))

    def swept(self, inputs: Iterable[int], outputs: Iterable[int]) -> dict[int, int]:
        """Drop operators and tensors that no output depends on; old number -> new one."""
        needed, kept = set(outputs), list[Operation]()
        for one in reversed(self.operations):
            if needed & set(one.outputs):
                needed |= {number for number in one.inputs if number >= 0} | set(one.outputs)
                kept.append(one)
        order = sorted(needed | set(inputs))
        found = {old: new for new, old in enumerate(order)}
        self.tensors = [self.tensors[old] for old in order]
        self.operations = [
            Operation(
                one.code,
                tuple(found.get(i, i) for i in one.inputs),
                tuple(found[i] for i in one.outputs),
                one.options,
            )
            for one in reversed(kept)
        ]
        return found

    def constant_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(t.data.nbytes for t in self.tensors if t.data is not None)

    def write(self, path: Path, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Write it, with one signature that names inputs and outputs.

        Raises:
            ConversionFailed: it would be larger than a flatbuffer can be.
        """
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        found = self.swept(inputs.values(), outputs.values())
        inputs = {name: found[number] for name, number in inputs.items()}
        outputs = {name: found[number] for name, number in outputs.items()}
        size = self.constant_bytes()
        if size > LARGEST:
            raise ConversionFailed(
                f"Its weights take {size / 2**30:.2f} GiB; a .tflite file holds less than 2 GiB.",
                "Store weights in 16 bits (tflite.fp16), or quantize them.",
            )
        model = _Schema(schema).model(self, inputs, outputs)
        room = size + (1 << 16) + 1024 * (len(self.tensors) + len(self.operations))
        builder = flatbuffers.Builder(room)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        with path.open("wb") as file:
            file.write(memoryview(builder.Bytes)[builder.Head() :])


class _Buffer:
    """A constant as the schema packs it, copied straight into the file's bytes, and aligned."""

    def __init__(self, schema: Any, data: Array | None = None) -> None:
        self._schema, self._data = schema, data

    def Pack(self, builder: Any) -> Any:  # noqa: N802 (the schema's word)
        vector = self._vector(builder, self._data) if self._data is not None else None
        self._schema.BufferStart(builder)
        if vector is not None:
            self._schema.BufferAddData(builder, vector)
        return self._schema.BufferEnd(builder)

    @staticmethod
    def _vector(builder: Any, data: Array) -> Any:
        little = data.dtype.newbyteorder("<")
        builder.StartVector(1, data.nbytes, ALIGNMENT)
        builder.head -= data.nbytes
        if data.size:
            place = np.frombuffer(builder.Bytes, little, data.size, builder.Head())
            np.copyto(place.reshape(data.shape), data)
        return builder.EndVector()


class _Schema:
    """Builds the schema's objects."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._codes: dict[tuple[str, int], int] = {}

    def model(self, file: File, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
        made = self._schema.ModelT()
        made.version, made.description = VERSION, "Lathe"
        made.buffers = [_Buffer(self._schema)]
        part = self._schema.SubGraphT()
        part.name = "main"
        part.tensors = [self._tensor(tensor, made.buffers) for tensor in file.tensors]
        part.operators = [self._operator(one, file) for one in file.operations]
        part.inputs = np.array(list(inputs.values()), np.int32)
        part.outputs = np.array(list(outputs.values()), np.int32)
        made.subgraphs = [part]
        made.operatorCodes = [self._code(*key) for key in self._codes]
        made.signatureDefs = [self._signature(inputs, outputs)]
        return made

    def _tensor(self, tensor: Tensor, buffers: list[Any]) -> Any:
        made = self._schema.TensorT()
        made.name, made.hasRank = tensor.name, True
        made.shape = np.array(tensor.shape, np.int32)
        made.type = vars(self._schema.TensorType)[TYPES[tensor.kind]]
        if tensor.data is not None:
            made.buffer = len(buffers)
            buffers.append(_Buffer(self._schema, tensor.data))
        if tensor.grid is not None:
            grid = self._schema.QuantizationParametersT()
            grid.scale = np.array(tensor.grid.scale, np.float32)
            grid.zeroPoint = np.full(len(tensor.grid.scale), tensor.grid.zero, np.int64)
            grid.quantizedDimension = tensor.grid.axis
            made.quantization = grid
        return made

    def _operator(self, one: Operation, file: File) -> Any:
        int8 = any(file.tensors[i].kind == "int8" for i in (*one.inputs, *one.outputs) if i >= 0)
        key = one.code, FIRST_INT8.get(one.code, 2) if int8 else FIRST.get(one.code, 1)
        made = self._schema.OperatorT()
        made.opcodeIndex = self._codes.setdefault(key, len(self._codes))
        made.inputs = np.array(one.inputs, np.int32)
        made.outputs = np.array(one.outputs, np.int32)
        name = OPTIONS.get(one.code, f"{one.code.title().replace('_', '')}Options")
        if name:
            made.builtinOptionsType = vars(self._schema.BuiltinOptions)[name]
            made.builtinOptions = vars(self._schema)[f"{name}T"](**one.options)
        return made

    def _code(self, code: str, version: int) -> Any:
        made, number = self._schema.OperatorCodeT(), vars(self._schema.BuiltinOperator)[code]
        made.builtinCode, made.version = number, version
        made.deprecatedBuiltinCode = min(number, OLD_CODES)
        return made

    def _signature(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
        made = self._schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = SIGNATURE, 0
        made.inputs = [self._named(name, number) for name, number in inputs.items()]
        made.outputs = [self._named(name, number) for name, number in outputs.items()]
        return made

    def _named(self, name: str, number: int) -> Any:
        made = self._schema.TensorMapT()
        made.name, made.tensorIndex = name, number
        return made
