"""Examination of one model: every target as it is, then with the fewest rewrites that help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.backends.base import catalogue, label, offered
from core.data import model_at
from core.devices.local import Scratch, lock
from core.errors import CoreError
from core.formats.base.artifacts import Artifacts
from core.measure import Source
from core.measure.attempt import Attempts, constant_outputs
from core.measure.obstacles import alone, named
from core.pipeline.client import Workshop
from core.records import Attempt, Diagnosis, Fate, Finding, ModelSummary, Obstacle, Singles
from core.runs.doctor.treatment import FOLD, FREEZE, OPSET, Treatment, labels
from core.runs.on_demand import Shelf, Step

Key = Callable[[ModelSummary, str], str]


def targets() -> tuple[str, ...]:
    """Every backend that is offered, once for each format that it reads."""
    return tuple(
        name if place == 0 else f"{name}@{form}"
        for name in offered()
        for place, form in enumerate(catalogue()[name].accepts)
    )


@dataclass
class Examination:
    """The work on one question.

    Attributes:
        model: as it was admitted.
        dims: sizes for all its open dimensions.
        source: of the inputs.
        artifacts: where models are converted.
        shelf: attempts that were made before, under `key`.
        hindrances: what stood in the way of them, under the same, so that work that stepped aside
            goes on with the next target.
        key: names the attempt with a model on a target.
        step: hears how far it is.
    """

    model: ModelSummary
    dims: Mapping[str, int]
    source: Source
    artifacts: Artifacts
    shelf: Shelf[Attempt]
    hindrances: Shelf[tuple[Obstacle, ...]]
    key: Key
    step: Step
    _singles: dict[str, Singles] = field(default_factory=dict)

    def diagnose(self, asked: Sequence[str]) -> Diagnosis:
        """What becomes of the model on these targets.

        Raises:
            CoreError: the model itself cannot be worked on.
        """
        attempts = Attempts(self.source, self.artifacts, self.step.cancelled)
        with Scratch("lathe-doctor-") as folder, Workshop() as workshop, attempts:
            self._attempts, self._workshop, self._folder = attempts, workshop, folder
            check = self.step.check
            care = Treatment(workshop, self.model, self.dims, folder / "models", check)
            findings = [self._as_it_is(target, i, asked) for i, target in enumerate(asked)]
            ill = any(not f.as_it_is.runs and f.as_it_is.fate is not Fate.ABSENT for f in findings)
            known: tuple[str, ...] = ()
            if ill:
                self.step.tell("Applying every rewrite")
                known = care.effective()
                findings = [self._treated(finding, care, known) for finding in findings]
            found = Diagnosis(
                self.model.digest, tuple(findings), dict(self.dims), self.source.digest, known,
                care.failed, self._constant(),
            )  # fmt: skip
            return self._together(found, care)

    def _as_it_is(self, target: str, place: int, asked: Sequence[str]) -> Finding:
        self.step.tell(f"{label(target)}: as it is")
        self.step.count(place, len(asked))
        attempt = self._attempt(self.model, target)
        return Finding(target, attempt, self._obstacles(self.model, target, attempt))

    def _treated(self, finding: Finding, care: Treatment, known: Sequence[str]) -> Finding:
        """The fewest rewrites that make a target run the model, if any do."""
        if finding.as_it_is.runs or finding.as_it_is.fate is Fate.ABSENT or not known:
            return finding
        shapes = [name for name in known if name in (FREEZE, FOLD)]
        sets = [shapes, [*known], [name for name in known if name != OPSET]]
        tried = [names for place, names in enumerate(sets) if names not in sets[:place]]
        chosen = next((names for names in tried if self._runs(care, names, finding.target)), None)
        if chosen is None:
            whole = care.of(known)
            last = self._attempt(whole, finding.target)
            left = self._obstacles(whole, finding.target, last)
            return replace(finding, rewritten=last, remaining=left)
        for name in reversed(chosen):
            fewer = [one for one in chosen if one != name]
            if not fewer:
                continue
            helps = self._runs(care, fewer, finding.target)
            gone, chosen = (chosen, fewer) if helps else (fewer, chosen)
            if gone not in tried:  # what is tried first is so on every target
                care.drop(gone)
        attempt = self._attempt(care.of(chosen), finding.target)
        return replace(finding, rewrites=tuple(chosen), rewritten=attempt)

    def _together(self, found: Diagnosis, care: Treatment) -> Diagnosis:
        """Each target with the rewrites for all: what one needs may be in another's way."""
        if not found.for_all:
            return found
        whole = care.of(found.for_all)
        tried = [replace(f, together=self._attempt(whole, f.target)) for f in found.findings]
        return replace(found, findings=tuple(tried))

    def _runs(self, care: Treatment, names: Sequence[str], target: str) -> bool:
        if not names:
            return False
        said = ", ".join(labels()[name] for name in names)
        self.step.tell(f"{label(target)} with: {said}")
        return self._attempt(care.of(names), target).runs

    def _attempt(self, model: ModelSummary, target: str) -> Attempt:
        key = self.key(model, target)
        known = self.shelf.get(key)
        if known is None:
            with lock.shared(self.step.check):
                known = self._attempts.of(model_at(model, self.dims), target)
            self.shelf.put(key, known)
        return known

    def _constant(self) -> tuple[str, ...]:
        answers = self._attempts.reference(model_at(self.model, self.dims))
        return () if isinstance(answers, str) else constant_outputs(answers)

    def _obstacles(
        self, model: ModelSummary, target: str, attempt: Attempt
    ) -> tuple[Obstacle, ...]:
        """What the target names, and what fails alone where it names nothing of its own words."""
        if attempt.fate not in (Fate.REFUSED, Fate.WRONG):
            return ()
        key = self.key(model, target)
        known = self.hindrances.get(key)
        if known is None:
            known = self._sought(model, target, attempt)
            self.hindrances.put(key, known)
        return known

    def _sought(self, model: ModelSummary, target: str, attempt: Attempt) -> tuple[Obstacle, ...]:
        self.step.tell(f"{label(target)}: which nodes stand in the way")
        singles = self._cut(model)
        told = named(attempt.reason, singles.nodes) if attempt.fate is Fate.REFUSED else ()
        if told and "@" in target:
            return told  # a converter names all of them
        with lock.shared(self.step.check):
            found = alone(singles, target, self.artifacts, self.step.cancelled)
        known = {one.node for one in told}
        return (*told, *(one for one in found if one.node not in known))

    def _cut(self, model: ModelSummary) -> Singles:
        if model.digest not in self._singles:
            folder: Path = self._folder / model.digest
            folder.mkdir(exist_ok=True)
            try:
                found = self._workshop.single_nodes(model.path, self.dims, folder, self.step.check)
            except CoreError:
                found = Singles(())
            self._singles[model.digest] = found
        return self._singles[model.digest]
