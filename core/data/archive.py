"""Zip files from strangers, judged by their directory before any byte of content is inflated.

Nothing is unpacked to disk under a name.

Refused: too many entries, a compression ratio that only a bomb has, too much in total, paths that
leave the archive, links and special files, names that two systems read differently, encryption.
"""

from __future__ import annotations

import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import DataError

RATIO_FROM_BYTES = 1 << 20  # a short text may well shrink a hundredfold
PIECE_BYTES = 4 << 20
LONGEST_NAME = 255  # bytes of one path component, the limit of most file systems
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)}
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an archive may hold at most."""

    entries: int = 10_000
    total_bytes: int = 4 << 30
    ratio: int = 100


class Archive:
    """A zip whose directory was found harmless; entries are read by name, one at a time."""

    def __init__(self, source: Path | IO[bytes], name: str, bounds: Bounds) -> None:
        """Read and judge the directory.

        Raises:
            DataError: the archive is broken or breaks a rule; the message says which.
        """
        self.name = name
        try:
            self._zip = zipfile.ZipFile(source)
        except _FAULTS as error:
            raise DataError(f"{name} is not a readable zip: {error}.") from error
        try:
            self._entries = _judge(self._zip.infolist(), name, bounds)
        except DataError:
            self._zip.close()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """Files in the archive, in its order, without what systems leave behind."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Bytes of an entry once inflated, as the directory declares them."""
        return self._entries[name].file_size

    def open(self, name: str) -> IO[bytes]:
        """A stream over one entry.

        Raises:
            DataError: broken entry.
        """
        try:
            return self._zip.open(self._entries[name])
        except _FAULTS as error:
            raise DataError(f"{self.name}: {name!r} cannot be read: {error}.") from error

    def read(self, name: str) -> bytes:
        """One entry, never more bytes than the directory declares.

        Raises:
            DataError: broken entry, or one that lies about its size.
        """
        declared = self.size(name)
        try:
            with self.open(name) as stream:
                content = stream.read(declared + 1)
        except _FAULTS as error:
            raise DataError(f"{self.name}: {name!r} cannot be read: {error}.") from error
        if len(content) != declared:
            raise DataError(f"{self.name}: {name!r} is not as long as the directory says.")
        return content

    def copy(self, name: str, out: IO[bytes]) -> None:
        """Write one entry out, in pieces, never more bytes than the directory declares.

        Raises:
            DataError: broken entry, or one that lies about its size.
        """
        declared, done = self.size(name), 0
        try:
            with self.open(name) as stream:
                while done <= declared and (piece := stream.read(PIECE_BYTES)):
                    out.write(piece)
                    done += len(piece)
        except _FAULTS as error:
            raise DataError(f"{self.name}: {name!r} cannot be read: {error}.") from error
        if done != declared:
            raise DataError(f"{self.name}: {name!r} is not as long as the directory says.")

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _judge(
    entries: list[zipfile.ZipInfo], archive: str, bounds: Bounds
) -> dict[str, zipfile.ZipInfo]:
    if len(entries) > bounds.entries:
        raise DataError(
            f"{archive} holds {len(entries):,} entries; {bounds.entries:,} are the limit."
        )
    total = sum(entry.file_size for entry in entries)
    if total > bounds.total_bytes:
        raise DataError(
            f"{archive} would unpack to {total / (1 << 30):.1f} GiB; "
            f"{bounds.total_bytes / (1 << 30):.1f} GiB are the limit."
        )
    packed = sum(entry.compress_size for entry in entries)
    if total > RATIO_FROM_BYTES and total > bounds.ratio * packed:
        raise DataError(
            f"{archive} unpacks to {total // max(packed, 1):,} times its size; a zip that grows "
            f"more than {bounds.ratio} times is taken for a bomb."
        )
    kept: dict[str, zipfile.ZipInfo] = {}
    folded: dict[str, str] = {}
    for entry in entries:
        _judge_entry(entry, archive, bounds)
        if entry.is_dir() or _left_behind(entry.filename):
            continue
        key = unicodedata.normalize("NFC", entry.filename).casefold()
        if key in folded:
            raise DataError(f"{archive} holds {folded[key]!r} and {entry.filename!r}: one name.")
        folded[key] = entry.filename
        kept[entry.filename] = entry
    return kept


def _judge_entry(entry: zipfile.ZipInfo, archive: str, bounds: Bounds) -> None:
    name = entry.orig_filename
    where = f"{archive}: entry {name[:80]!r}"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{where} is a link or a special file.")
    if entry.flag_bits & 1:
        raise DataError(f"{where} is encrypted.")
    if reason := _bad_name(name):
        raise DataError(f"{where} {reason}.")
    size = entry.file_size
    if size > RATIO_FROM_BYTES and size > bounds.ratio * max(entry.compress_size, 1):
        raise DataError(f"{where} grows more than {bounds.ratio} times: taken for a bomb.")


def _bad_name(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        return "leads out of the archive, or is not a plain relative path"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in name):
        return "has control characters in its name"
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        return f"has a name longer than {LONGEST_NAME} bytes"
    if any(part.split(".")[0].rstrip(" ").casefold() in _RESERVED for part in parts):
        return "has a name that is a device on some systems"
    return ""


def _left_behind(name: str) -> bool:
    """Whether a file is a trace of the system that packed the zip."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1] in (
        "Thumbs.db",
        "desktop.ini",
    )
