"""The files of a model on disk: one, or two where its large weights lie beside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATA_SUFFIX = ".data"
UNBOUNDED = 1 << 62


def data_of(path: Path) -> Path:
    """Where the weights of a large model lie that is stored at `path`."""
    return path.with_name(path.name + DATA_SUFFIX)


def files_of(path: Path) -> tuple[Path, ...]:
    """The file, and the one beside it if there is one."""
    return (path, data_of(path)) if data_of(path).exists() else (path,)


def stored_bytes(path: Path) -> int:
    """Bytes of all its files.

    Raises:
        OSError: there is no such file.
    """
    return sum(file.stat().st_size for file in files_of(path))


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that are free, and what a visitor may still upload.

    Attributes:
        disk: where Lathe keeps its files.
        memory: of the machine, or of the part of it that this process may use.
        upload: most of one upload.
        used: that the visitor's uploads take.
        quota: that they may take in all.
        shared: that all visitors' uploads may still take together.
    """

    disk: int
    memory: int
    upload: int = UNBOUNDED
    used: int = 0
    quota: int = UNBOUNDED
    shared: int = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Upload:
    """What somebody uploaded, as a list shows it.

    Attributes:
        kind: "model" or "images".
        size_bytes: of its files.
        created: UTC, ISO 8601.
        runs: ids of the owner's runs that need it.
    """

    digest: str
    name: str
    kind: str
    size_bytes: int
    created: str
    owner: str
    runs: tuple[str, ...] = ()
