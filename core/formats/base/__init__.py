"""File format: what Lathe can write or read of one kind of model file, and who does it.

A folder of `core.formats` is one format and ends in `FORMAT = ...`; its name is the identifier.
A format with variants is named `format.variant`. No format knows another one, or a backend.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.catalogue import discover
from core.errors import UnsupportedFormat


class Exporter(Protocol):
    """Writes a format from ONNX. Runs in the conversion child only.

    Attributes:
        name: of the tool that does it.
    """

    name: str

    def version(self) -> str:
        """Of that tool, without importing it.

        Raises:
            BackendUnavailable: it is not installed.
        """
        ...

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        """Write the files of `model` into the empty folder `out`, the first one as `Format.file`.

        Args:
            model: an ONNX file; its data may lie beside it.
            variant: one of the format's; empty for the plain form.
            out: the folder.

        Returns:
            Notes: what a user should know of the file.

        Raises:
            ConversionFailed: with the operators in the way, or the tool's own words.
        """
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of model file.

    Attributes:
        label: what a person calls it.
        about: one line: who reads it.
        suffix: of its main file.
        variants: name -> what it is, in words; the plain form, "", comes first.
        exporter: writes it; None for what Lathe itself keeps.
        half: variants that store float weights in two bytes, or in one.
        fixed: whether its files hold sizes, so that one is made for each size that is measured.
    """

    label: str
    about: str
    suffix: str
    variants: Mapping[str, str]
    exporter: Exporter | None = None
    half: frozenset[str] = frozenset()
    fixed: bool = False

    @property
    def file(self) -> str:
        """The name of the main file of an artifact."""
        return f"model{self.suffix}"


@functools.cache
def catalogue() -> Mapping[str, Format]:
    """Every format by its identifier."""
    found: dict[str, Format] = discover("core.formats", "FORMAT")
    return found


def exported() -> tuple[str, ...]:
    """What can be written besides ONNX: `format`, and `format.variant`."""
    return tuple(
        f"{name}.{variant}" if variant else name
        for name, kind in catalogue().items()
        if kind.exporter is not None
        for variant in kind.variants
    )


def parse(text: str) -> tuple[Format, str]:
    """Split "openvino_ir.fp16" into the format and its variant.

    Raises:
        UnsupportedFormat: there is none of that name.
    """
    name, _, variant = text.partition(".")
    found = catalogue().get(name)
    if found is None or variant not in found.variants:
        raise UnsupportedFormat(
            f"There is no format {text!r}; known: onnx, {', '.join(exported())}."
        )
    return found, variant


def label(text: str) -> str:
    """What a person calls a format with its variant."""
    kind, variant = parse(text)
    return f"{kind.label}, {kind.variants[variant]}" if variant else kind.label
