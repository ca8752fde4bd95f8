"""The net while it is written: which blob holds which ONNX value, and in which form.

Operators ask here for their inputs in the form that they need, and say what they made. A blob is
given another form once, however many read it; one that nobody asks for otherwise stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core.formats.base.prepared import shape_of
from core.formats.ncnn.layers import Layer, Names, Parameter, Weight
from core.formats.ncnn.quantized import dequantized
from core.formats.ncnn.refusal import Refused, Unknown
from core.formats.ncnn.sizes import Shape, natural
from core.graph import constant
from core.graph.values import origin

Array = np.ndarray[Any, Any]
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")  # each as good as float32
CODES = ("UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL")
WIDTH, HEIGHT, CHANNELS, DEPTH = 0, 1, 2, 11  # parameters of Input, MemoryData and Reshape


@dataclass(frozen=True)
class Blob:
    """What is in the file: a name, and the form of it, outermost axis first."""

    name: str
    form: Shape


class Net:
    """Values by name, and the layers that grow.

    Attributes:
        layers: in the order of running.
        names: that are taken.
        done: nodes that were written together with an earlier one.
        notes: what a user should know of the file.
    """

    def __init__(self, model: ir.Model) -> None:
        """Begin with the inputs of a graph whose sizes are known."""
        self.opset = model.graph.opset_imports.get("", 1)
        self.layers: list[Layer] = []
        self.names = Names()
        self.done: set[ir.Node] = set()
        self.notes: dict[str, None] = {}
        self.outputs = {value.name for value in model.graph.outputs}
        self._blobs: dict[str, Blob] = {}
        self._formed: dict[tuple[str, Shape], str] = {}
        self._constants: dict[tuple[str, Shape], Blob] = {}
        for value in model.graph.inputs:
            if value.const_value is None:
                self._input(value)

    def _input(self, value: ir.Value) -> None:
        shape = shape_of(value)
        if shape is None or math.prod(shape) == 0:
            raise Refused(f"input {value.name!r} has no known size")
        if value.dtype is not None and value.dtype.name not in (*FLOATS, *CODES):
            raise Refused(f"input {value.name!r} holds {value.dtype.name.lower()}")
        form = natural(shape)
        self.put(value, self.add("Input", value.name or "", (), form, axes(form)))

    # What the graph says

    def shape(self, value: ir.Value | None) -> Shape:
        """The ONNX shape of a value, of one image.

        Raises:
            Refused: it is missing, or has no elements.
            Unknown: it is not known before the model runs.
        """
        if value is None:
            raise Refused("it lacks an input")
        array = self.array(value)
        found = array.shape if array is not None else shape_of(value)
        if found is None:
            raise Unknown(f"the size of {value.name!r} is known only when the model runs")
        if 0 in found:
            raise Refused(f"{value.name!r} has no elements")
        return tuple(found)

    def array(self, value: ir.Value | None) -> Array | None:
        """What a constant holds; None for what is computed."""
        source = origin(value)
        array = constant(source)
        return dequantized(source) if array is None else array

    def known(self, value: ir.Value | None, what: str) -> Array:
        """A constant that a layer cannot do without.

        Raises:
            Refused: it is computed while the model runs.
        """
        array = self.array(value)
        if array is None:
            raise Refused(f"its {what} is computed while the model runs")
        return array

    def weight(self, value: ir.Value | None, what: str) -> Array:
        """A constant in float32.

        Raises:
            Refused: it is computed while the model runs.
        """
        return self.known(value, what).astype(np.float32)

    def only_reader(self, value: ir.Value) -> ir.Node | None:
        """The node that reads a value, if it is the only one and nothing else needs it."""
        uses = list(value.uses())
        return uses[0].node if len(uses) == 1 and value.name not in self.outputs else None

    def is_float(self, value: ir.Value | None) -> bool:
        """Whether a value holds numbers with a fraction; so does one of unknown type."""
        dtype = None if value is None else value.dtype
        return dtype is None or dtype.name in FLOATS

    # What operators read

    def has(self, value: ir.Value | None) -> bool:
        """Whether a value lies in the file as something that is computed."""
        return value is not None and value.name in self._blobs

    def blob(self, value: ir.Value | None) -> Blob:
        """A value as it lies in the file, whatever its form.

        Raises:
            Refused: it is missing.
        """
        if value is None:
            raise Refused("it lacks an input")
        if value.name in self._blobs:
            return self._blobs[value.name or ""]
        array = self.array(value)
        if array is None:
            raise Unknown(f"{value.name!r} could not be written")
        return self.constant(array, natural(array.shape), value.name or "")

    def formed(self, value: ir.Value | None, form: Shape) -> str:
        """The blob of a value in this form."""
        if value is not None and not self.has(value) and (array := self.array(value)) is not None:
            return self.constant(array, form, value.name or "").name
        return self.as_form(self.blob(value), form)

    def as_form(self, blob: Blob, form: Shape) -> str:
        """A blob in another form; a Reshape where it has that not already."""
        if blob.form == form:
            return blob.name
        if math.prod(blob.form) != math.prod(form):
            raise Refused(f"{blob.name!r} of {blob.form} elements was to be read as {form}")
        key = blob.name, form
        if key not in self._formed:
            made = self.add("Reshape", f"{blob.name}_formed", (blob.name,), form, axes(form))
            self._formed[key] = made.name
        return self._formed[key]

    def constant(self, array: Array, form: Shape, name: str = "constant") -> Blob:
        """Numbers as a blob; the same ones are stored once."""
        key = name, form
        if key not in self._constants or name == "constant":
            data = Weight(np.asarray(array, np.float32).reshape(form))
            made = self.add("MemoryData", name, (), form, axes(form), (data,))
            self._constants[key] = made
        return self._constants[key]

    # What operators make

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        form: Shape,
        parameters: Mapping[int, Parameter] | None = None,
        weights: Sequence[Weight] = (),
    ) -> Blob:
        """A layer that makes one blob of this form, called like it."""
        return self.several(kind, name, inputs, (form,), parameters, weights)[0]

    def several(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        forms: Sequence[Shape],
        parameters: Mapping[int, Parameter] | None = None,
        weights: Sequence[Weight] = (),
    ) -> tuple[Blob, ...]:
        """A layer that makes several blobs."""
        name = self.names.of(name)
        more = [self.names.of(f"{name}_{i}") for i in range(1, len(forms))]
        made = tuple(Blob(n, form) for n, form in zip((name, *more), forms, strict=True))
        outputs = tuple(blob.name for blob in made)
        given = dict(parameters or {})
        self.layers.append(Layer(kind, name, tuple(inputs), outputs, given, tuple(weights)))
        return made

    def put(self, value: ir.Value, blob: Blob) -> None:
        """Let a value be what is in the file."""
        self._blobs[value.name or ""] = blob

    def pretend(self, node: ir.Node) -> None:
        """Go on behind a node that could not be written, to find what else is in the way."""
        for value in node.outputs:
            shape = shape_of(value)
            if value.name and shape is not None and 0 not in shape and not self.has(value):
                self._blobs[value.name] = Blob(value.name, natural(shape))


def axes(form: Shape) -> dict[int, Parameter]:
    """A form as parameters of Input, MemoryData and Reshape."""
    keys = {
        1: (WIDTH,),
        2: (HEIGHT, WIDTH),
        3: (CHANNELS, HEIGHT, WIDTH),
        4: (CHANNELS, DEPTH, HEIGHT, WIDTH),
    }[len(form)]
    return dict(zip(keys, form, strict=True))
