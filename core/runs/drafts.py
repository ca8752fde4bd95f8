"""What a visitor was working on: model, images, recipe, backends; kept for the next visit.

A reload, a new tab, a restart of the server: the forms stand as they were left. Nothing depends on
it, so a full disk or a damaged file costs the forms and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from core.records import Json

MOST_BYTES = 64 << 10
MOST_KEPT = 1_000


def kept(folder: Path, owner: str) -> Json:
    """What this owner left; empty where there is nothing, or nothing readable."""
    path = _path(folder, owner)
    try:
        if path is None or path.stat().st_size > MOST_BYTES:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(folder: Path, owner: str, draft: Json) -> None:
    """Keep a draft in the place of the last one; the oldest of all owners go."""
    path, content = _path(folder, owner), json.dumps(draft)
    if path is None or len(content) > MOST_BYTES:
        return
    scratch = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        folder.mkdir(exist_ok=True)
        is_new = not path.exists()
        scratch.write_text(content, encoding="utf-8")
        os.replace(scratch, path)
        if is_new:
            _drop_oldest(folder)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def _drop_oldest(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    for file in files[:-MOST_KEPT]:
        file.unlink(missing_ok=True)


def _path(folder: Path, owner: str) -> Path | None:
    return folder / f"{owner}.json" if owner.isalnum() and owner.isascii() else None
