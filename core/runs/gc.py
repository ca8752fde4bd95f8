"""What is kept on disk and for how long: files that nobody refers to any more are let go."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from core.records.stored import DATA_SUFFIX, data_of
from core.runs.home import Home
from core.runs.store import Store

YOUNG_S = 3600.0  # a file this new may belong to work whose row is not written yet
DATA = f"*.onnx{DATA_SUFFIX}"
CACHE_BYTES = 4 << 30
ARTIFACTS = "artifacts"


def sweep(home: Home, store: Store, spared: frozenset[str] = frozenset()) -> int:
    """Delete unreferenced models, image sets and job folders, raw uploads, and old caches.

    Args:
        home: where to sweep.
        store: what is still referred to.
        spared: digests to keep besides.

    Returns:
        Bytes that became free.
    """
    needed = store.referenced() | spared
    runs = store.run_ids()
    doomed = [path for path in home.models.glob("*.onnx") if path.stem not in needed]
    doomed += [path for path in home.models.glob(DATA) if path.name.split(".")[0] not in needed]
    doomed += home.models.glob(".*.part")  # of a process that ended while it wrote
    doomed += [path for path in home.data.iterdir() if path.name not in needed]
    doomed += [path for path in home.jobs.iterdir() if path.name not in runs]
    doomed += list(home.uploads.iterdir())
    doomed += home.artifacts.glob(".*")  # of a conversion whose process ended
    freed = sum(_remove(path) for path in doomed if _age_s(path) > YOUNG_S)
    return freed + _shrink(home.caches)


def files(home: Home, digest: str) -> tuple[Path, ...]:
    """What lies on disk of a model or an image set."""
    model = home.models / f"{digest}.onnx"
    found = (model, data_of(model), home.data / digest)
    return tuple(path for path in found if digest.isalnum() and path.exists())


def let_go(home: Home, store: Store, digest: str) -> int:
    """Delete the files of a model or an image set at once, unless something refers to it.

    Returns:
        Bytes that became free.
    """
    if digest in store.referenced():
        return 0
    return sum(_remove(path) for path in files(home, digest))


def _shrink(caches: Path) -> int:
    """Drop the entries used longest ago until the caches fit their bound."""
    entries = [entry for kind in caches.iterdir() if kind.is_dir() for entry in kind.iterdir()]
    sizes = {entry: bytes_of(entry) for entry in entries}
    excess, freed = sum(sizes.values()) - CACHE_BYTES, 0
    for entry in sorted(entries, key=_age_s, reverse=True):
        if freed >= excess:
            break
        if entry.parent.name == ARTIFACTS and _age_s(entry) < YOUNG_S:
            continue  # somebody may be about to load it
        freed += _remove(entry)
    return freed


def _remove(path: Path) -> int:
    size = bytes_of(path)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return size


def bytes_of(path: Path) -> int:
    """Of a file, or of all files in a folder."""
    if not path.is_dir():
        return _size(path)
    return sum(_size(inner) for inner in path.rglob("*") if inner.is_file())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
