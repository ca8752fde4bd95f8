"""Sensitivities in the background: asked for by a page that does not wait, kept for all."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from core.candidates.client import Workshop
from core.errors import CoreError
from core.experiment.builds import code_digest
from core.experiment.home import Home
from core.measure import Cancelled
from core.process import lock
from core.records import Json, Recipe, Sensitivity, from_json, to_json

KEPT = 32


class Sensing:
    """One study at a time, in a child of its own. Thread-safe."""

    def __init__(self, home: Home) -> None:
        """Nothing starts before it is asked for."""
        self._folder = home.caches / "sensitivities"
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._key, self._stopped = "", False
        self._told = ""
        self._failed: dict[str, CoreError] = {}
        self._kept: dict[str, Sensitivity] = {}

    def get(self, model: Path, before: Recipe, calibration: Path, data: str) -> Sensitivity | None:
        """What is known; None while it is being measured, which this call starts.

        Args:
            model: an admitted model.
            before: what runs before the pruning.
            calibration: an admitted image set.
            data: its digest.

        Raises:
            CoreError: it cannot be measured.
        """
        key = _key(model, before, data)
        path = self._folder / f"{key}.json"
        if (found := self._read(key)) is not None:
            return found
        with self._guard:
            if key in self._failed:
                raise self._failed[key]
            if self._thread is None or not self._thread.is_alive():
                self._key, self._stopped, self._told = key, False, ""
                self._thread = threading.Thread(
                    target=self._measure, args=(key, path, model, before, calibration), daemon=True
                )
                self._thread.start()
            elif self._key != key:
                self._stopped = True  # nobody looks at that one any more; the next call starts ours
        return None

    def known(self, model: Path, before: Recipe, data: str) -> Sensitivity | None:
        """What is known already; nothing is measured. Arguments as for `get`."""
        return self._read(_key(model, before, data))

    def _read(self, key: str) -> Sensitivity | None:
        if key not in self._kept:
            path = self._folder / f"{key}.json"
            if not path.exists():
                return None
            found = from_json(Sensitivity, json.loads(path.read_text(encoding="utf-8")))
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = found
        return self._kept[key]

    def told(self) -> str:
        """What the study does now and how long it will take; empty where there is none."""
        return self._told if self._thread is not None and self._thread.is_alive() else ""

    def stop(self) -> None:
        """Make room for a measurement."""
        self._stopped = True

    def _measure(
        self, key: str, path: Path, model: Path, before: Recipe, calibration: Path
    ) -> None:
        try:
            with lock.shared(self._check), Workshop() as workshop:
                found = workshop.sensitivity(model, before, calibration, self._check, self._hear)
        except Cancelled:
            return
        except CoreError as error:
            self._failed[key] = error
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps(to_json(found)), encoding="utf-8")
        scratch.replace(path)

    def _hear(self, message: Json) -> None:
        self._told = str(message.get("current", ""))

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled


def _key(model: Path, before: Recipe, data: str) -> str:
    facts = [model.stem, to_json(before.steps), data, code_digest()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
