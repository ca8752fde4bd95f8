"""Records as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.records.notes import Note

Json = dict[str, Any]
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
    return typing.cast(R, _read(cls, data))


def optional(cls: type[R], data: Any) -> R | None:
    """The record that `to_json` turned into `data`, or None where it turned None into None."""
    return None if data is None else from_json(cls, data)


@functools.cache
def _hints(cls: type) -> Json:
    """The types of a record's fields, which take longer to find out than to use."""
    return typing.get_type_hints(cls)


def _read(hint: Any, data: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return data
    if origin in (types.UnionType, typing.Union):
        return _read_union(args, data)
    if origin is tuple:
        return _read_tuple(args, data)
    if origin is not None and issubclass(origin, Mapping):
        return {k: _read(args[1], v) for k, v in dict(data).items()}
    if hint is Note:
        return _read_note(data)
    if dataclasses.is_dataclass(hint):
        hints = _hints(typing.cast(type, hint))
        known = {f.name for f in dataclasses.fields(hint)}
        return typing.cast(type, hint)(
            **{k: _read(hints[k], v) for k, v in data.items() if k in known}
        )
    if hint in (float, int, str) and not isinstance(data, bool):
        return data if isinstance(data, str) and hint is str else _number(hint, data)
    return hint(data) if hint in (Path, bool) or issubclass(hint, enum.Enum) else data


def _read_note(data: Any) -> Note:
    if isinstance(data, str):
        return Note.text(data)  # as version 0.1.0 stored it
    if "title" in data:  # as it stored advice: a title, a sentence, a number with its unit
        number = "" if data.get("value") is None else f"{data['value']:g} {data.get('unit', '')}"
        title, text = _read(str, data["title"]), _read(str, data["text"])
        return Note.of("advice.told", title=title, text=text, figure=number.strip())
    values = dict(data.get("values", {}))
    return Note(_read(str, data["code"]), {k: _read_value(v) for k, v in values.items()})


def _read_value(value: Any) -> Any:
    """A value of a note, in which a mapping is a note again."""
    if isinstance(value, Mapping):
        return _read_note(value)
    return [_read_value(one) for one in value] if isinstance(value, list) else value


def _number(hint: type, data: Any) -> Any:
    if hint is str or isinstance(data, str):
        raise TypeError(f"expected {hint.__name__}, got {data!r}")
    try:
        return hint(data)
    except OverflowError:
        raise ValueError(f"a number beyond {hint.__name__}") from None


def _read_union(args: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in args:
        return None
    kinds = [a for a in args if a is not type(None)]
    if len(kinds) == 1:
        return _read(kinds[0], data)
    for kind in kinds:
        if isinstance(kind, type) and isinstance(data, kind):
            return data
    raise TypeError(f"{data!r} is none of {kinds}")


def _read_tuple(args: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], v) for v in data)
    return tuple(_read(a, v) for a, v in zip(args, data, strict=True))
