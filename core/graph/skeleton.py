"""An ONNX file without its large values: read and written without holding them in memory.

Parsing copies every weight at least once. So the wire format of protobuf is walked first, in the
mapped file: each large value is cut out, a placeholder of a few bytes stands in its field, and only
what is left (the skeleton) is parsed. The way back puts values into the fields of placeholders.

A placeholder begins with random bytes, so that no file can hold one of its own. Nothing is decided
here that protobuf would decide otherwise: what is not understood is copied, for it to judge.

Source: the encoding of Protocol Buffers, and onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.errors import InvalidModel

Array = np.ndarray[Any, Any]
Piece = bytes | memoryview

NONCE_BYTES = 16
INDEX_BYTES = 8
MAX_DEPTH = 100  # messages inside messages, the limit of protobuf itself
LONGEST_VARINT = 10
MOST_FIELDS = 200_000  # in one message: ten times the nodes that the gate lets through
VARINT, FIXED64, LENGTH, FIXED32 = KNOWN = (0, 1, 2, 5)
FLOAT = 1  # TensorProto.FLOAT, whose packed float_data is what raw_data would hold
RAW_DATA, FLOAT_DATA, DATA_TYPE = 9, 4, 2
_RAW_KEY = bytes([RAW_DATA << 3 | LENGTH])
# Message -> its fields that hold messages with tensors somewhere inside. "once" is a tensor in a
# field that does not repeat: where it does all the same, protobuf merges the two.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "once", 6: "graph", 10: "tensor", 11: "graph"},
}


class Malformed(Exception):
    """No protobuf message: it ends too early, or holds a number that is none."""


@dataclass
class Values:
    """The large values of a model, by placeholder: slices of mapped files, or arrays."""

    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_BYTES))
    _held: list[memoryview] = field(default_factory=list)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def add(self, content: memoryview) -> bytes:
        """Take a value in; the placeholder that stands for it in raw_data."""
        self._held.append(content)
        return self.nonce + (len(self._held) - 1).to_bytes(INDEX_BYTES, "little")

    def of(self, raw_data: bytes | memoryview) -> memoryview | None:
        """The value that a placeholder stands for; None for any other content."""
        if len(raw_data) != NONCE_BYTES + INDEX_BYTES or raw_data[:NONCE_BYTES] != self.nonce:
            return None
        index = int.from_bytes(raw_data[NONCE_BYTES:], "little")
        return self._held[index] if index < len(self._held) else None


def cut(content: memoryview, least: int, values: Values, name: str) -> bytes:
    """The skeleton of an ONNX file.

    Args:
        content: the file, as bytes; mapped, so that only what is looked at is read.
        least: values of fewer bytes stay where they are.
        values: takes the values that were cut out.
        name: what messages call the file.

    Raises:
        InvalidModel: it is no protobuf message.
    """
    try:
        return b"".join(_Cut(content, least, values).message(0, len(content), "model", 0))
    except Malformed:
        raise InvalidModel(
            f"{name} is not an ONNX file, or only a part of one.", "Export or download it again."
        ) from None


def paste(skeleton: bytes, values: Values) -> list[Piece]:
    """The whole file again, as pieces to be written one after the other."""
    return _Paste(memoryview(skeleton), values).message(0, len(skeleton), "model", 0)


class _Walk:
    """Rewrites the tensors of a message, and with them the lengths of all that is around them."""

    def __init__(self, view: memoryview, values: Values) -> None:
        self._view, self._values = view, values

    def message(self, start: int, end: int, kind: str, depth: int) -> list[Piece]:
        """The pieces of the message in view[start:end]."""
        if depth > MAX_DEPTH or not self._worth(start, end):
            return [self._view[start:end]]
        fields = list(itertools.islice(_fields(self._view, start, end), MOST_FIELDS + 1))
        if len(fields) > MOST_FIELDS or any(wire not in KNOWN for _, wire, *_ in fields):
            return [self._view[start:end]]  # no network; or groups, which protobuf still skips
        if kind in ("tensor", "once"):
            return self._tensor(start, end, kind, fields)
        pieces: list[Piece] = []
        copied = start
        for number, wire, begin, body, stop in fields:
            inner = _INSIDE[kind].get(number) if wire == LENGTH else None
            if inner is None or not self._worth(body, stop):
                continue
            made = self.message(body, stop, inner, depth + 1)
            pieces.append(self._view[copied:begin])
            pieces.append(_varint_bytes(number << 3 | LENGTH) + _varint_bytes(_size(made)))
            pieces += made
            copied = stop
        return [*pieces, self._view[copied:end]]

    def _worth(self, start: int, end: int) -> bool:
        raise NotImplementedError

    def _tensor(self, start: int, end: int, kind: str, fields: list[_Field]) -> list[Piece]:
        raise NotImplementedError

    def _replaced(self, start: int, end: int, old: tuple[int, int], content: Piece) -> list[Piece]:
        """The tensor in start:end with raw_data for the field in old[0]:old[1]."""
        return [
            self._view[start : old[0]],
            _RAW_KEY + _varint_bytes(len(content)),
            content,
            self._view[old[1] : end],
        ]


class _Cut(_Walk):
    def __init__(self, view: memoryview, least: int, values: Values) -> None:
        super().__init__(view, values)
        self._least = least

    def _worth(self, start: int, end: int) -> bool:
        return end - start >= self._least

    def _tensor(self, start: int, end: int, kind: str, fields: list[_Field]) -> list[Piece]:
        """Without its raw_data, or its float_data where that is the same bytes."""
        stored = [f for f in fields if f[0] in (RAW_DATA, FLOAT_DATA)]
        if len(stored) != 1 or stored[0][1] != LENGTH:
            return [self._view[start:end]]
        number, _, begin, body, stop = stored[0]
        if stop - body < self._least:
            return [self._view[start:end]]
        if number == FLOAT_DATA:
            types = [self._view[f[3] : f[4]] for f in fields if f[0] == DATA_TYPE]
            if kind == "once" or (stop - body) % 4 or [bytes(t) for t in types] != [bytes([FLOAT])]:
                return [self._view[start:end]]
        mark = self._values.add(self._view[body:stop])
        return self._replaced(start, end, (begin, stop), mark)


class _Paste(_Walk):
    def __init__(self, view: memoryview, values: Values) -> None:
        super().__init__(view, values)
        self._content = view.obj if isinstance(view.obj, bytes) else bytes(view)

    def _worth(self, start: int, end: int) -> bool:
        return self._content.find(self._values.nonce, start, end) >= 0

    def _tensor(self, start: int, end: int, kind: str, fields: list[_Field]) -> list[Piece]:
        for number, wire, begin, body, stop in fields:
            if number == RAW_DATA and wire == LENGTH:
                found = self._values.of(self._view[body:stop])
                if found is not None:
                    return self._replaced(start, end, (begin, stop), found)
        return [self._view[start:end]]


_Field = tuple[int, int, int, int, int]  # number, wire type, begin of the key, body, end


def _fields(view: memoryview, at: int, end: int) -> Iterator[_Field]:
    while at < end:
        begin = at
        key, at = _varint(view, at, end)
        wire, body = key & 7, at
        if wire == VARINT:
            _, at = _varint(view, at, end)
        elif wire == LENGTH:
            length, body = _varint(view, at, end)
            at = body + length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            yield key >> 3, wire, begin, body, end
            return
        if at > end:
            raise Malformed
        yield key >> 3, wire, begin, body, at


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(at, min(at + LONGEST_VARINT, end)):
        byte = view[place]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place + 1
        shift += 7
    raise Malformed


def _varint_bytes(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _size(pieces: Iterable[Piece]) -> int:
    return sum(len(piece) for piece in pieces)
