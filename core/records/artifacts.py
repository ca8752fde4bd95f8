"""Artifacts: what a backend loads and a user downloads, in one file format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.records.stored import files_of

ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class Artifact:
    """The files of a model in one format.

    Attributes:
        digest: of their bytes.
        files: the first is the one that a backend is given, the others lie beside it.
        format: `name`, or `name.variant`, of `core.formats`.
        exporter: name of the format's tool that wrote it; empty for an ONNX file as it is.
        exporter_version: of that tool.
        source: digest of the ONNX model that it was made of.
        report: notes of the exporter.
    """

    digest: str
    files: tuple[Path, ...]
    format: str = ONNX
    exporter: str = ""
    exporter_version: str = ""
    source: str = ""
    report: tuple[str, ...] = ()

    @classmethod
    def as_it_is(cls, digest: str, path: Path) -> Artifact:
        """An ONNX model that nothing was done to."""
        return cls(digest, files_of(path), source=digest)

    @property
    def path(self) -> Path:
        """The file that a backend is given."""
        return self.files[0]

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files.

        Raises:
            OSError: they are gone.
        """
        return sum(file.stat().st_size for file in self.files)
