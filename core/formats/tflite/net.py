"""The network while it is written: which tensor of the file holds which ONNX value, and how.

Operators ask here for their inputs in the order of axes and the arithmetic that they need, and say
what they made. What nobody asks for in another order is never transposed; a value is transposed,
or turned into float, once, however many read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.tflite import layout
from core.formats.tflite.codes import Codes, codes
from core.formats.tflite.flatbuffer import File, Grid
from core.formats.tflite.layout import Order, Shape
from core.formats.tflite.refusal import Refused, Unknown
from core.graph import constant
from core.graph.values import origin

Array = np.ndarray[Any, Any]
HALF = "fp16"  # a variant
HALVED = 1 << 8  # elements; smaller constants stay float32 in the fp16 variant
LONGEST_RANK = 6


@dataclass(frozen=True)
class Stored:
    """A tensor of the file that holds an ONNX value.

    Attributes:
        tensor: its number.
        shape: ONNX's.
        order: of the axes in the file.
        kind: type of its elements in the file.
        grid: what its codes mean; None where it holds the values themselves.
        coded: whether ONNX's value is the codes, not what they mean.
    """

    tensor: int
    shape: Shape
    order: Order
    kind: str
    grid: Grid | None = None
    coded: bool = False

    @property
    def placed(self) -> Shape:
        """Its shape in the file."""
        return layout.placed(self.shape, self.order)

    def axis(self, axis: int) -> int:
        """Where an ONNX axis lies in the file."""
        return self.order.index(axis % len(self.shape))


class Net:
    """Values by name, and the file that grows.

    Attributes:
        file: what is written.
        done: nodes that were written together with an earlier one.
        notes: what a user should know of the file.
        inputs: tensors of the model's inputs, by name.
        variant: of the format.
        doubtful: values that follow from something that could not be written.
    """

    def __init__(self, model: ir.Model, variant: str = "") -> None:
        """Begin with a graph whose sizes are all known.

        Args:
            model: the graph, constants folded.
            variant: of the format.
        """
        self.opset = model.graph.opset_imports.get("", 1)
        self.file = File()
        self.done: set[ir.Node] = set()
        self.notes: dict[str, None] = {}
        self.outputs = {value.name for value in model.graph.outputs}
        self.inputs: dict[str, int] = {}
        self.doubtful: set[str] = set()
        self.variant = variant
        self._stored: dict[str, Stored] = {}
        self._others: dict[tuple[object, ...], int] = {}
        self._constants: dict[tuple[object, ...], int] = {}
        self._large: dict[tuple[object, ...], tuple[int, Array]] = {}
        self._widened: set[int] = set()  # constants that lie in the file in 16 bits

    # What the graph says

    def shape(self, value: ir.Value | None) -> Shape:
        """The ONNX shape of a value.

        Raises:
            Unknown: it is not known before the model runs.
        """
        if value is None:
            raise Refused("it lacks an input")
        if value.name in self._stored:
            return self._stored[value.name or ""].shape
        array = self.array(value)
        if array is not None:
            return tuple(array.shape)
        dims = [dim for dim in value.shape or () if isinstance(dim, int)]
        if value.shape is None or len(dims) != len(value.shape):
            raise Unknown(f"the size of {value.name!r} is known only when the model runs")
        return tuple(dims)

    def array(self, value: ir.Value | None) -> Array | None:
        """What a constant holds; None for what is computed."""
        return constant(origin(value))

    def known(self, value: ir.Value | None, what: str) -> Array:
        """A constant that an operator cannot do without.

        Raises:
            Refused: it is computed while the model runs.
        """
        array, held = self.array(value), codes(value)
        if array is None and held is not None:
            return held.values()
        if array is None:
            raise Refused(f"its {what} is computed while the model runs")
        return array

    def only_reader(self, value: ir.Value) -> ir.Node | None:
        """The node that reads a value, if it is the only one and nothing else needs it."""
        readers = [use.node for use in value.uses()]
        return readers[0] if len(readers) == 1 and value.name not in self.outputs else None

    def is_read(self, value: ir.Value) -> bool:
        """Whether a node or the caller of the model reads a value."""
        return bool(value.uses()) or value.name in self.outputs

    # What operators read

    def has(self, value: ir.Value | None) -> bool:
        """Whether a value lies in the file as something that is computed."""
        return value is not None and value.name in self._stored

    def given(self, value: ir.Value | None) -> Stored:
        """A value as it lies in the file: any order, codes or not.

        Raises:
            Unknown: it could not be written.
        """
        source = value if value is None or value.name in self._stored else origin(value)
        if source is None:
            raise Refused("it lacks an input")
        name = source.name or ""
        if name not in self._stored:
            array, coded = self.array(source), codes(source)
            if coded is not None:
                self._stored[name] = self._of_codes(coded, name)
            elif array is not None:
                self._stored[name] = self.of_array(array, name)
            else:
                raise Unknown(f"{name!r} could not be written")
        return self._stored[name]

    def _of_codes(self, coded: Codes, name: str) -> Stored:
        """A constant of codes; in float where several scales belong to it."""
        order = layout.plain(coded.data.ndim)
        if coded.data.dtype != np.int8:
            return self.of_array(coded.values(), name)
        number = self.file.constant(f"{name}_codes", coded.data, coded.grid(order))
        found = Stored(number, coded.data.shape, order, "int8", coded.grid(order))
        return found if len(coded.scale) == 1 else self.numbers(found)

    def real(self, value: ir.Value | None, order: Order | None = None) -> Stored:
        """A value as numbers, in an order if one is given.

        Raises:
            Refused: it is codes of a quantized tensor.
        """
        found = self.numbers(self.given(value))
        return found if order is None else self.ordered(found, order)

    def numbers(self, found: Stored) -> Stored:
        """What codes mean, in float; anything else as it is."""
        if found.coded:
            raise Refused("it computes with the codes of a quantized tensor")
        if found.grid is None:
            return found
        key = found.tensor, found.placed, "float32"
        if key not in self._others:
            made = self.fresh(found.shape, found.order, "float32", self.name(found))
            self.file.op("DEQUANTIZE", [found.tensor], [made.tensor])
            self._others[key] = made.tensor
        return replace(found, tensor=self._others[key], kind="float32", grid=None)

    def ordered(self, found: Stored, order: Order) -> Stored:
        """The same values with their axes in this order.

        A tensor may be held by several values, each with other names for its axes: what is moved
        already is known by how its data lies in the file, not by an order of ONNX's axes.
        """
        if found.order == order:
            return found
        key = found.tensor, found.placed, layout.steps(found.order, order), found.grid
        if key not in self._others:
            made = self.fresh(found.shape, order, found.kind, self.name(found), found.grid)
            if layout.alike(found.shape, found.order, order):
                self.reshape(found.tensor, made)
            else:
                self._transpose(found, made)
            self._others[key] = made.tensor
        return replace(found, tensor=self._others[key], order=order)

    def _transpose(self, found: Stored, made: Stored) -> None:
        if len(found.shape) > LONGEST_RANK:
            raise Refused(f"a tensor of {len(found.shape)} axes would have to be transposed")
        steps = np.array(layout.steps(found.order, made.order), np.int32)
        self.file.op("TRANSPOSE", [found.tensor, self.listed(steps)], [made.tensor])

    def reshape(self, tensor: int, made: Stored) -> None:
        """Give a tensor the shape of another one."""
        shape = np.array(made.placed, np.int32)
        self.file.op("RESHAPE", [tensor, self.listed(shape)], [made.tensor], newShape=shape)

    # What operators make

    def fresh(
        self, shape: Sequence[int], order: Order, kind: str, name: str, grid: Grid | None = None
    ) -> Stored:
        """A tensor that some operator fills."""
        shape = tuple(map(int, shape))
        number = self.file.tensor(name, layout.placed(shape, order), kind, grid=grid)
        return Stored(number, shape, order, kind, grid)

    def made(
        self, value: ir.Value, order: Order | None = None, kind: str = "", grid: Grid | None = None,
        coded: bool = False,
    ) -> Stored:  # fmt: skip
        """The tensor for the output of a node, under its name."""
        shape = self.shape(value)
        name = value.name or ""
        chosen = kind or ("int8" if grid else self.kind(value))
        order = layout.plain(len(shape)) if order is None else order
        self._stored[name] = replace(self.fresh(shape, order, chosen, name, grid), coded=coded)
        return self._stored[name]

    def put(self, value: ir.Value, found: Stored) -> None:
        """Let a value be what is in the file already."""
        self._stored[value.name or ""] = found

    def viewed(self, value: ir.Value, found: Stored, shape: Shape, order: Order) -> None:
        """Let a value be the data of another one in another shape, at most a Reshape away."""
        view = replace(found, shape=shape, order=order)
        if view.placed != found.placed:
            view = self.fresh(shape, order, found.kind, value.name or "", found.grid)
            view = replace(view, coded=found.coded)
            self.reshape(found.tensor, view)
        self.put(value, view)

    def kind(self, value: ir.Value) -> str:
        """The type of a value in the file: half precision is computed in float32.

        Raises:
            Refused: TFLite has no such type.
        """
        dtype = value.dtype
        name = "" if dtype is None else dtype.name.lower()
        name = {"float": "float32", "float16": "float32"}.get(name, name)
        if name not in ("float32", "bool", "int8", "uint8", "int32", "int64"):
            raise Refused(f"TFLite's kernels do not take {name or 'an unknown type'}")
        return name

    def name(self, found: Stored) -> str:
        """What a tensor is called."""
        return self.file.tensors[found.tensor].name

    # Constants

    def listed(self, numbers: Array) -> int:
        """A small constant of an operator, such as its axes; equal ones are stored once."""
        key = numbers.dtype.name, numbers.shape, numbers.tobytes()
        if key not in self._constants:
            self._constants[key] = self.file.constant(f"constant_{len(self._constants)}", numbers)
        return self._constants[key]

    def number(self, value: float, kind: str = "float32") -> int:
        """A scalar."""
        return self.listed(np.array(value, kind))

    def of_array(self, array: Array, name: str, order: Order | None = None) -> Stored:
        """A constant in an order; of float64 and float16 what float32 makes of them."""
        order = layout.plain(array.ndim) if order is None else order
        kept = array.dtype == np.float16 and array.size > HALVED
        if array.dtype.kind == "f" and array.dtype != np.float32 and not kept:
            array = array.astype(np.float32)
        if (
            array.dtype.name not in ("float32", "bool", "int8", "uint8", "int32", "int64")
            and not kept
        ):
            raise Refused(f"TFLite's kernels do not take {array.dtype.name}")
        number = self._constant(array.transpose(order), name)
        return Stored(number, array.shape, order, "float32" if kept else array.dtype.name)

    def _constant(self, array: Array, name: str) -> int:
        """A constant; one that lies in the same memory was stored before, and is held there."""
        if array.size <= HALVED:
            return self.listed(np.ascontiguousarray(array))
        place = array.__array_interface__["data"][0], array.strides, array.shape, array.dtype.name
        if place not in self._large:
            self._large[place] = self._stored_once(array, name), array
        return self._large[place][0]

    def _stored_once(self, array: Array, name: str) -> int:
        if array.dtype != np.float16 and not (self.variant == HALF and array.dtype == np.float32):
            return self.file.constant(name, array)
        half = array.astype(np.float16, copy=False)
        if not np.array_equal(np.isfinite(half), np.isfinite(array)):
            self.notes[f"{name} stays in 32 bits: its numbers do not fit into 16."] = None
            return self.file.constant(name, array)
        stored = self.file.constant(f"{name}_half", half)
        made = self.file.tensor(name, array.shape, "float32")
        self.file.op("DEQUANTIZE", [stored], [made])
        self._widened.add(made)
        return made

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor is known before the model runs; XNNPACK gives out none such."""
        return self.file.tensors[tensor].data is not None or tensor in self._widened
