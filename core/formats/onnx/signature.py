"""Names, inputs and outputs of an upload."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import onnx

from core.errors import InvalidModel, UnsupportedModel
from core.formats.onnx.tensors import MAX_RANK, known_type

LONGEST_NAME = 1024
MAX_INPUTS = 1024
MAX_INPUT_ELEMENTS = 1 << 31


def check_interface(graph: onnx.GraphProto) -> None:
    """Hold the inputs and outputs to types that exist and sizes that make sense.

    Raises:
        InvalidModel, UnsupportedModel: the message names the input or output.
    """
    if len(graph.input) > MAX_INPUTS + len(graph.initializer):
        raise UnsupportedModel(f"The graph has {len(graph.input):,} inputs.")
    weights = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        where = f"input {checked_name(value.name, 'an input')[:80]!r}"
        # A weight that IR version 3 lists as an input may be empty, as the roi of a Resize is.
        _check_type(value.type, where, required=True, smallest=int(value.name not in weights))
    for value in graph.output:
        _check_type(
            value.type, f"output {checked_name(value.name, 'an output')[:80]!r}", required=False
        )


def _check_type(kind: onnx.TypeProto, where: str, required: bool, smallest: int = 1) -> None:
    which = kind.WhichOneof("value")
    if which is None:
        if required:
            raise InvalidModel(f"The {where} has no type.")
    elif which == "tensor_type":
        _check_tensor_type(kind.tensor_type, where, smallest)
    elif which in ("sequence_type", "optional_type"):
        _check_type(getattr(kind, which).elem_type, where, required=True)
    elif which == "map_type":
        _check_type(kind.map_type.value_type, where, required=True)
    else:
        raise UnsupportedModel(f"The {where} is of type {which}, which Lathe does not take.")


def _check_tensor_type(kind: onnx.TypeProto.Tensor, where: str, smallest: int) -> None:
    if not known_type(kind.elem_type):
        raise InvalidModel(f"The {where} has the element type {kind.elem_type}: no such type.")
    dims = [dim.dim_value for dim in kind.shape.dim if dim.HasField("dim_value")]
    if len(kind.shape.dim) > MAX_RANK:
        raise InvalidModel(f"The {where} has {len(kind.shape.dim)} dimensions.")
    if any(dim < smallest and dim != -1 for dim in dims):
        raise InvalidModel(f"The {where} has a dimension of {min(dims)}.")
    if math.prod(abs(dim) for dim in dims) > MAX_INPUT_ELEMENTS:
        raise UnsupportedModel(f"The {where} has more than 2^31 elements.")
    for dim in kind.shape.dim:
        checked_name(dim.dim_param, f"a dimension of the {where}")


def distinct(names: Iterable[str], what: str) -> set[str]:
    """The names as a set.

    Raises:
        InvalidModel: one of them is empty, occurs twice or is no name.
    """
    found: set[str] = set()
    for name in names:
        if checked_name(name, what) in found:
            raise InvalidModel(f"Two {what} are named {name[:80]!r}.")
        if not name:
            raise InvalidModel(f"One of the {what} has no name.")
        found.add(name)
    return found


def checked_name(name: Any, where: str) -> str:
    """A name that any runtime can hold; it may be empty.

    Raises:
        InvalidModel: not UTF-8, too long, or with a NUL.
    """
    if isinstance(name, bytes):
        raise InvalidModel(f"A name ({where}) is not UTF-8 text.")
    if len(name) > LONGEST_NAME or "\0" in name:
        raise InvalidModel(f"A name ({where}) is longer than {LONGEST_NAME} or holds a NUL.")
    return str(name)
