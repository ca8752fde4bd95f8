"""Rewrites by name, and the model that some of them make.

Besides those of the pass `adapt` there are two: sizes for open dimensions, which make another model
of it, and the pass `simplify`, which computes shapes that are known then.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.devices.local.launch import Check
from core.passes.base import catalogue, parameters
from core.pipeline.client import Workshop
from core.records import ModelSummary, Outcome, Recipe, Step
from core.records.stored import data_of

FREEZE, FOLD, ADAPT, CHOSEN = "freeze_shapes", "simplify", "adapt", "rewrites"
OPSET = "common_opset"  # the one that rewrites every node, so that it may be in the way as well


@functools.cache
def labels() -> Mapping[str, str]:
    """What a person calls each rewrite, in the order in which they are applied."""
    own = {FREEZE: "Freeze shapes", FOLD: "Fold constants and shape arithmetic"}
    return {**own, **parameters(catalogue()[ADAPT])[CHOSEN][1].names}


def steps(names: Iterable[str]) -> tuple[Step, ...]:
    """The recipe of these rewrites; freezing is none of its steps."""
    wanted = set(names)
    chosen = tuple(name for name in labels() if name in wanted - {FREEZE, FOLD})
    fold = (Step(FOLD),) if FOLD in wanted else ()
    return (*fold, Step(ADAPT, {CHOSEN: chosen})) if chosen else fold


@dataclass
class Treatment:
    """A model, and what rewrites make of it; each set of them once.

    Attributes:
        workshop: that makes them.
        model: as it was admitted.
        dims: sizes for all its open dimensions.
        folder: for the files.
        check: called several times a second; what it raises ends the work.
        failed: rewrite -> why it could not be done.
    """

    workshop: Workshop
    model: ModelSummary
    dims: Mapping[str, int]
    folder: Path
    check: Check
    failed: dict[str, str] = field(default_factory=dict)
    _made: dict[frozenset[str], ModelSummary] = field(default_factory=dict)

    def effective(self) -> tuple[str, ...]:
        """The rewrites that change something, each tried behind those before it."""
        found = [FREEZE] if self.dims else []
        asked = [name for name in labels() if name != FREEZE]
        recipe = Recipe("all", tuple(step for name in asked for step in steps([name])))
        base = self._frozen() if self.dims else self.model
        made = self._build(base, recipe)
        reports = made.candidate.report if made.candidate else made.failed
        for name, report in zip(asked, reports, strict=False):
            if report.reverted:
                self.failed[name] = report.reverted
            elif report.changed:
                found.append(name)
        return tuple(found)

    def of(self, names: Iterable[str]) -> ModelSummary:
        """The model with these rewrites; itself where they come to nothing."""
        key = frozenset(names)
        if key not in self._made:
            base = self._frozen() if FREEZE in key and self.dims else self.model
            recipe = Recipe("adapted", steps(key))
            made = self._build(base, recipe).summary if recipe.steps else base
            self._made[key] = made or base
        return self._made[key]

    def drop(self, names: Iterable[str]) -> None:
        """Let go of a form and its file; asked for again, it is made again."""
        key = frozenset(names)
        if key == {FREEZE}:
            return  # others are made of it
        gone = self._made.pop(key, None)
        if gone is None or gone.path in {self.model.path, *(m.path for m in self._made.values())}:
            return
        for path in (gone.path, data_of(gone.path)):
            path.unlink(missing_ok=True)

    def _frozen(self) -> ModelSummary:
        key = frozenset({FREEZE})
        if key not in self._made:
            self._made[key] = self.workshop.freeze(
                self.model.path, self.dims, self.folder, self.model.name
            )
        return self._made[key]

    def _build(self, base: ModelSummary, recipe: Recipe) -> Outcome:
        return self.workshop.build(base.path, recipe, None, self.folder, check=self.check)
