"""Uploads on their way in: bytes that came over the page lie in a file as long as they are read."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from core.devices.local import Progress
from core.errors import InvalidModel, StoreError
from core.runs.gates import Tell

MAKE_ROOM = "Free some space on the disk, as by deleting runs and uploads under Runs."
SUFFIXES = (".onnx", ".zip", ".npz")


@contextlib.contextmanager
def as_file(folder: Path, filename: str, content: bytes | Path) -> Iterator[Path]:
    """An upload as a file; a copy that vanishes where it came as bytes.

    Args:
        folder: for copies.
        filename: what the user called it.
        content: the file, or where it lies.

    Raises:
        InvalidModel: there is no such file.
        StoreError: the disk is full.
    """
    if isinstance(content, Path):
        if not content.exists():
            raise InvalidModel(f"{content}: there is no such file.")
        yield content
        return
    suffix = Path(filename).suffix.lower()
    path = folder / (secrets.token_hex(16) + (suffix if suffix in SUFFIXES else ".bin"))
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(
            f"The upload cannot be kept: {error.strerror}.",
            MAKE_ROOM,
        ) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def size(content: bytes | Path) -> int:
    """Bytes of an upload; a folder of images is not counted before it is packed."""
    if not isinstance(content, Path):
        return len(content)
    return content.stat().st_size if content.is_file() else 0


def teller(progress: Progress | None) -> Tell | None:
    """Says what an upload waits for where its progress is told."""
    return (lambda words: progress({"current": words})) if progress else None
