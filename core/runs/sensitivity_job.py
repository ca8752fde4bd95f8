"""Sensitivity studies on demand: asked for by a page that does not wait, kept for all."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from core.devices.local import lock
from core.pipeline.client import Workshop
from core.recipes import canonical
from core.records import Json, Recipe, Sensitivity, to_json
from core.runs.builds import code_digest
from core.runs.home import Home
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

KEPT = 32
RETRY_S = 60.0  # after a child died of one


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
        return key_of(
            self.model.stem, to_json(canonical(self.before.steps)), self.data, code_digest()
        )


class Sensing:
    """Studies in turns, each in a child of its own. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        shelf: Shelf[Sensitivity] = Shelf(Sensitivity, home.caches / "sensitivities", KEPT)
        self._studies = OnDemand(turns, shelf, child_died_s=RETRY_S)

    def get(self, question: Study, visitor: str = "") -> Sensitivity | None:
        """What is known; None while it is being measured, which this call asks for.

        Raises:
            CoreError: it cannot be measured, or could not a moment ago.
        """
        return self._studies.ask(question.key, functools.partial(_measure, question), visitor)

    def known(self, question: Study) -> Sensitivity | None:
        """What is known already; nothing is measured."""
        return self._studies.known(question.key)

    def told(self, question: Study) -> str:
        """What this study does now, or whom it waits for; empty where nobody asked for it."""
        standing = self._studies.standing(question.key)
        if standing.ahead:
            others = "one other piece of work"
            others = others if standing.ahead == 1 else f"{standing.ahead} others"
            return f"waiting for its turn, behind {others} …"
        return standing.words

    def stop(self, question: Study) -> None:
        """Nobody wants this one any more; asked for again, it begins anew."""
        self._studies.stop(question.key)


def _measure(question: Study, step: Step) -> Sensitivity:
    def hear(message: Json) -> None:
        step.tell(str(message.get("current", "")))

    with lock.shared(step.check), Workshop() as workshop:
        return workshop.sensitivity(
            question.model, question.before, question.calibration, step.check, hear
        )
