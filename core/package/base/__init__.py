"""Snippet: the lines of a program that load a model on one backend and run it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.catalogue import discover
from core.package.base.subject import Subject

Writer = Callable[[Subject], str]


@dataclass(frozen=True, slots=True)
class Snippet:
    """How programs run a model on one backend.

    Attributes:
        distribution: what pip installs of it.
        imports: lines of Python.
        load: writes the function `load()`, which gives the model with the options measured.
        run: writes the function `run(model, feeds)`, which gives a list of outputs.
        in_order: whether that list has the order of the model's outputs, and all of them.
        one_image: whether the file takes one image at a time, whatever the ONNX model takes.
        programs: what else there is for it, by file name; one that writes nothing is left out.
    """

    distribution: str
    imports: tuple[str, ...]
    load: Writer
    run: Writer
    in_order: bool = True
    one_image: bool = False
    programs: Mapping[str, Writer] = field(default_factory=dict)


@functools.cache
def catalogue() -> Mapping[str, Snippet]:
    """Every snippet by the name of its backend."""
    return discover("core.package", "SNIPPET")
