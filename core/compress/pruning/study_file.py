"""Study cache: what a study ranked and measured, as a JSON file for the next process.

The name of the file says all that the numbers depend on beside the images: the graph and the
sources that made them. What is read is checked against the graph before it is believed. A folder
holds the `MOST` files that were written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import sources
from core.analysis.channels import Group
from core.compress.pruning.group_sensitivity import Effect
from core.compress.pruning.obs_ranking import Ranking
from core.errors import StoreError
from core.records import from_json, to_json

MOST = 32
MAX_BYTES = 32 << 20
MAKERS = ("analysis", "compress")

Rankings = dict[tuple[Group, tuple[int, ...] | None], Ranking]
Effects = dict[tuple[Group, tuple[int, ...]], dict[int, Effect]]


def path_for(folder: Path, graph: str) -> Path:
    """Where the study of the graph with this digest lies."""
    return folder / f"{hashlib.sha256((graph + sources.digest(*MAKERS)).encode()).hexdigest()}.json"


def write(path: Path, rankings: Rankings, effects: Effects) -> None:
    """Put the file in place at once, and remove the oldest of its folder.

    Raises:
        OSError: the disk is full or not to be written to.
    """
    records = [
        {
            "atom": group.atoms[0],
            "forced": list(forced) if forced else None,
            "order": list(ranking.order),
            "error": ranking.error.tolist(),
            "effects": to_json(effects.get((group, ranking.order), {})),
        }
        for (group, forced), ranking in rankings.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(records, file)
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    _trim(path)


def read(path: Path, groups: Sequence[Group]) -> tuple[Rankings, Effects]:
    """What `write` wrote for the same graph; the rankings come without their weights.

    Raises:
        StoreError: not such a file.
    """
    by_atom = {group.atoms[0]: group for group in groups}
    rankings: Rankings = {}
    effects: Effects = {}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("far larger than a study")
        for record in json.loads(path.read_text(encoding="utf-8")):
            group = by_atom[record["atom"]]
            ranking = _ranking(group, record)
            forced = tuple(record["forced"]) if record["forced"] else None
            rankings[group, forced] = ranking
            if found := _effects(group, record["effects"]):
                effects[group, ranking.order] = found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path.name} is not a readable study: {error}", "Delete it; it is made again."
        ) from error
    return rankings, effects


def _ranking(group: Group, record: Mapping[str, Any]) -> Ranking:
    order, error = tuple(record["order"]), np.array(record["error"], np.float64)
    deep = 0 < len(error) <= len(order)
    if sorted(order) != sorted(group.atoms):
        raise ValueError("an order of other channels")
    if error.ndim != 1 or not deep or not np.isfinite(error).all() or (np.diff(error) < 0).any():
        raise ValueError("errors that do not rise")
    return Ranking(order, error)


def _effects(group: Group, record: Mapping[str, Any]) -> dict[int, Effect]:
    found = {int(count): from_json(Effect, effect) for count, effect in record.items()}
    for count, effect in found.items():
        if not 0 < count <= len(group.atoms) or not np.isfinite(effect.error):
            raise ValueError("an effect of no possible cut")
    return found


def _trim(newest: Path) -> None:
    """Another process may do so at the same time."""
    aged = []
    for path in newest.parent.glob("*.json"):
        try:
            aged.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(aged)[:-MOST]:
        if path != newest:
            path.unlink(missing_ok=True)
