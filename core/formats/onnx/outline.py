"""The outermost fields of a protobuf message: enough to tell whose format a file is.

Only keys and lengths are read, the rest is skipped, so a file of gigabytes is told in no time.

Source: the encoding of Protocol Buffers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MOST_FIELDS = 2_000
LONGEST_VARINT = 10
PEEK_BYTES = 2
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the message.

    Attributes:
        number: by which the format names it.
        wire: how it is encoded.
        value: of a whole number; else the length in bytes.
        start: the first bytes of what it holds.
    """

    number: int
    wire: int
    value: int
    start: bytes = b""


def outline(file: IO[bytes]) -> list[Field]:
    """The outermost fields in the order of the file; none where it is no protobuf message.

    A file that ends too early gives the fields before that.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    found: list[Field] = []
    try:
        for one in _fields(file, size):
            found.append(one)
            if len(found) == MOST_FIELDS:
                break
    except ValueError:
        return []
    return found


def _fields(file: IO[bytes], size: int) -> Iterator[Field]:
    while file.tell() < size:
        key = _varint(file)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError("no field has the number 0")
        if wire == VARINT:
            yield Field(number, wire, _varint(file))
        elif wire == LENGTH:
            length = _varint(file)
            begin = file.tell()
            if begin + length > size:
                return
            yield Field(number, wire, length, file.read(min(length, PEEK_BYTES)))
            file.seek(begin + length)
        elif wire in (FIXED64, FIXED32):
            width = 8 if wire == FIXED64 else 4
            yield Field(number, wire, width, file.read(width))
        else:
            raise ValueError(f"wire type {wire}")


def _varint(file: IO[bytes]) -> int:
    value = 0
    for place in range(LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than ten bytes")
