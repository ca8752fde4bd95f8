"""Records as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.records.notes import Note

Json = dict[str, Any]
Reader = Callable[[Any], Any]
R = TypeVar("R")


def to_json(value: Any) -> Any:
    """A record, or any nesting of records, as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def parse_json(text: str | bytes) -> Any:
    """The value that a JSON text from outside describes.

    Raises:
        ValueError: it is no JSON, or nested beyond all measure.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def from_json(cls: type[R], data: Any) -> R:
    """The record of type `cls` that `to_json` turned into `data`; unknown keys are ignored.

    Raises:
        ValueError, TypeError, KeyError: `data` does not describe a `cls`.
    """
    return typing.cast(R, _reader(typing.cast(Any, cls))(data))


def optional(cls: type[R], data: Any) -> R | None:
    """The record that `to_json` turned into `data`, or None where it turned None into None."""
    return None if data is None else from_json(cls, data)


@functools.cache
def _fields(cls: type) -> dict[str, Reader]:
    """What reads each field of a record."""
    hints = typing.get_type_hints(cls)
    return {field.name: _reader(hints[field.name]) for field in dataclasses.fields(cls)}


@functools.cache
def _reader(hint: Any) -> Reader:
    """What reads values of a type. Types are few and values many: it is found out once."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return lambda data: data
    if hint is Note:
        return _read_note
    if origin in (types.UnionType, typing.Union):
        return _union(args)
    if origin is tuple:
        return _tuple(args)
    if origin is not None and issubclass(origin, Mapping):
        value = _reader(args[1])
        return lambda data: {k: value(v) for k, v in dict(data).items()}
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast(type, hint))
    if hint in (float, int, str):
        return functools.partial(_plain, hint)
    return hint if hint in (Path, bool) or issubclass(hint, enum.Enum) else lambda data: data


def _record(cls: type) -> Reader:
    def read(data: Any) -> Any:
        known = _fields(cls)  # not before: a record may hold another one of its own kind
        return cls(**{k: known[k](v) for k, v in data.items() if k in known})

    return read


def _read_note(data: Any) -> Note:
    if isinstance(data, str):
        return Note.text(data)  # as version 0.1.0 stored it
    if "title" in data:  # as it stored advice: a title, a sentence, a number with its unit
        number = "" if data.get("value") is None else f"{data['value']:g} {data.get('unit', '')}"
        title, text = _plain(str, data["title"]), _plain(str, data["text"])
        return Note.of("advice.told", title=title, text=text, figure=number.strip())
    values = dict(data.get("values", {}))
    return Note(_plain(str, data["code"]), {k: _read_value(v) for k, v in values.items()})


def _read_value(value: Any) -> Any:
    """A value of a note, in which a mapping is a note again."""
    if isinstance(value, Mapping):
        return _read_note(value)
    return [_read_value(one) for one in value] if isinstance(value, list) else value


def _plain(hint: type, data: Any) -> Any:
    """A number or a text; a bool is left to whoever reads it."""
    if type(data) is hint or isinstance(data, bool):
        return data
    if hint is str or isinstance(data, str):
        raise TypeError(f"expected {hint.__name__}, got {data!r}")
    try:
        return hint(data)
    except OverflowError:
        raise ValueError(f"a number beyond {hint.__name__}") from None


def _union(args: tuple[Any, ...]) -> Reader:
    kinds = tuple(kind for kind in args if kind is not type(None))
    optional, one = len(kinds) < len(args), _reader(kinds[0]) if len(kinds) == 1 else None

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        if one is not None:
            return one(data)
        if isinstance(data, tuple(kind for kind in kinds if isinstance(kind, type))):
            return data
        raise TypeError(f"{data!r} is none of {list(kinds)}")

    return read


def _tuple(args: tuple[Any, ...]) -> Reader:
    if len(args) == 2 and args[1] is Ellipsis:
        each = _reader(args[0])
        return lambda data: tuple(map(each, data))
    readers = tuple(map(_reader, args))
    return lambda data: tuple(read(v) for read, v in zip(readers, data, strict=True))
