"""The quota of uploads: bytes of one, of one visitor in all, and of all visitors together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from core.devices.local.memory import size_of
from core.errors import StoreError
from core.records.stored import UNBOUNDED

GIB = 1 << 30
UPLOAD, VISITOR, EVERYBODY = "LATHE_UPLOAD", "LATHE_UPLOADS", "LATHE_UPLOADS_ALL"


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes that uploads may take on disk.

    Attributes:
        upload: one of them.
        visitor: those of one visitor.
        everybody: those of all visitors.
    """

    upload: int = 4 * GIB
    visitor: int = 20 * GIB
    everybody: int = 100 * GIB

    @classmethod
    def unlimited(cls) -> Quota:
        """For who has the disk anyway: the command line."""
        return cls(UNBOUNDED, UNBOUNDED, UNBOUNDED)

    @classmethod
    def of(cls, environment: Mapping[str, str] | None = None) -> Quota:
        """What LATHE_UPLOAD, LATHE_UPLOADS and LATHE_UPLOADS_ALL say; else the usual.

        Raises:
            StoreError: one of them is no size.
        """
        given = os.environ if environment is None else environment
        usual = cls()
        return cls(
            _asked(given, UPLOAD, usual.upload),
            _asked(given, VISITOR, usual.visitor),
            _asked(given, EVERYBODY, usual.everybody),
        )


def _asked(environment: Mapping[str, str], name: str, usual: int) -> int:
    text = environment.get(name, "")
    if not text:
        return usual
    size = size_of(text)
    if size is None:
        raise StoreError(f"{name}={text} is no size.", f"Write it as in {name}=800M or {name}=6G.")
    return size
