"""Package file: a .zip of a model and texts, streamed from the disk, always of the same bytes.

No entry has a time of its own, and what is packed decides the file's name; so the same package is
written once, and two that are equal are equal byte for byte. `SHA256SUMS` holds every file inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import StoreError, no_room

CHUNK = 1 << 20
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first time that a .zip can say
PLAIN_FILE = 0o644 << 16
SUMS = "SHA256SUMS"
LEVEL = 1  # weights hardly shrink; texts are short


def name_of(model: str, texts: Mapping[str, str]) -> str:
    """The name of a package: equal where all that is inside is.

    Args:
        model: digest of the model's files.
        texts: by name.
    """
    content = json.dumps([model, dict(texts)], sort_keys=True)
    return f"{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()}.package.zip"


def write(out: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write the package, whole or not at all.

    Args:
        out: the file.
        files: of the model, by name inside; a .zip stands for what it holds.
        texts: by name.

    Raises:
        StoreError: there is no room for it, or a file is gone.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sums: dict[str, str] = {}
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for name, path in files.items():
                sums |= _model(archive, name, path)
            for name, text in texts.items():
                sums[name] = _text(archive, name, text)
            _text(archive, SUMS, "".join(f"{sum_}  {name}\n" for name, sum_ in sums.items()))
        os.replace(part, out)
    except OSError as error:
        raise no_room(error) or StoreError(f"{out.name}: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def _model(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, str]:
    """Pack a file of the model; SHA-256 by name."""
    if path.suffix != ".zip":
        with path.open("rb") as source:
            return {name: _copied(archive, name, source, path.stat().st_size)}
    with zipfile.ZipFile(path) as packed:
        found = {}
        for entry in packed.infolist():
            with packed.open(entry) as source:
                found[entry.filename] = _copied(archive, entry.filename, source, entry.file_size)
        return found


def _text(archive: zipfile.ZipFile, name: str, text: str) -> str:
    content = text.encode("utf-8", "replace")
    with _entry(archive, name, len(content)) as entry:
        entry.write(content)
    return hashlib.sha256(content).hexdigest()


def _copied(archive: zipfile.ZipFile, name: str, source: IO[bytes], size: int) -> str:
    found = hashlib.sha256()
    with _entry(archive, name, size) as entry:
        while chunk := source.read(CHUNK):
            found.update(chunk)
            entry.write(chunk)
    return found.hexdigest()


@contextmanager
def _entry(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[IO[bytes]]:
    about = zipfile.ZipInfo(name, LONG_AGO)
    about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, PLAIN_FILE
    about.file_size = size
    with archive.open(about, "w") as entry:
        yield entry
