"""Sensitivities in the background: asked for by a page that does not wait, kept for all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError, WorkerError
from core.pipeline.client import Workshop
from core.process import lock
from core.records import Json, Recipe, Sensitivity, from_json, to_json
from core.runs.builds import code_digest
from core.runs.home import Home
from core.runs.turns import Check, Turns

KEPT = 32
RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Study:
    """What a sensitivity is asked of.

    Attributes:
        model: an admitted model.
        before: what runs before the pruning.
        calibration: an admitted image set.
        data: its digest.
    """

    model: Path
    before: Recipe
    calibration: Path
    data: str

    @property
    def key(self) -> str:
        """The same for the same answer."""
        facts = [self.model.stem, to_json(self.before.steps), self.data, code_digest()]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Sensing:
    """Studies in the background, in turns, each in a child of its own. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        self._folder = home.caches / "sensitivities"
        self._turns = turns
        self._told: dict[str, str] = {}
        self._failed: dict[str, tuple[CoreError, float]] = {}
        self._kept: dict[str, Sensitivity] = {}

    def get(self, question: Study, visitor: str = "") -> Sensitivity | None:
        """What is known; None while it is being measured, which this call asks for.

        Who waits for the answer calls again: what nobody asks for any more may lose its turn.

        Args:
            question: what is wanted.
            visitor: whose turn it takes.

        Raises:
            CoreError: it cannot be measured, or could not a moment ago.
        """
        key = question.key
        if (found := self._read(key)) is not None:
            return found
        if (error := self._error(key)) is not None:
            raise error
        self._turns.ask(key, visitor, functools.partial(self._measure, question))
        return None

    def _error(self, key: str) -> CoreError | None:
        """What it failed with; a child that died is nothing that the model must die of again."""
        error, when = self._failed.get(key, (None, 0.0))
        if isinstance(error, WorkerError) and time.monotonic() - when > RETRY_S:
            del self._failed[key]
            return None
        return error

    def known(self, question: Study) -> Sensitivity | None:
        """What is known already; nothing is measured."""
        return self._read(question.key)

    def _read(self, key: str) -> Sensitivity | None:
        if key not in self._kept:
            path = self._folder / f"{key}.json"
            if not path.exists():
                return None
            self._keep(key, from_json(Sensitivity, json.loads(path.read_text(encoding="utf-8"))))
        return self._kept[key]

    def told(self, question: Study) -> str:
        """What this study does now, or whom it waits for; empty where nobody asked for it."""
        before = self._turns.before(question.key)
        if before:
            others = "one other piece of work" if before == 1 else f"{before} others"
            return f"waiting for its turn, behind {others} …"
        return self._told.get(question.key, "")

    def stop(self, question: Study) -> None:
        """Nobody wants this one any more; asked for again, it begins anew."""
        self._turns.withdraw(question.key)

    def _measure(self, question: Study, check: Check) -> None:
        key = question.key

        def hear(message: Json) -> None:
            self._told[key] = str(message.get("current", ""))

        try:
            with lock.shared(check), Workshop() as workshop:
                found = workshop.sensitivity(
                    question.model, question.before, question.calibration, check, hear
                )
        except CoreError as error:
            self._failed[key] = (error, time.monotonic())
            return
        finally:
            self._told.pop(key, None)
        self._keep(key, found)
        path = self._folder / f"{key}.json"
        scratch = path.with_suffix(".part")
        with contextlib.suppress(OSError):  # a full disk: it is known until the server ends
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(to_json(found)), encoding="utf-8")
            scratch.replace(path)

    def _keep(self, key: str, found: Sensitivity) -> None:
        while len(self._kept) >= KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = found
