"""Next steps: which change of a measured recipe is worth a try on one backend, and why.

Where it loses accuracy: less of what loses, the worst layer left alone, arithmetic that repairs
itself, training. Where it is not faster: the same written for this backend, arithmetic left out
that gains nothing, else what of the passes pays and is not in it yet. What a pass has to offer is
stated by the pass (`gentler`, `pays`, `mends`); a smaller cut comes with its forecast, and nothing
else has one. What was measured already is not offered again.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.backends.base import label as label_of
from core.passes.base import TIME, Parameter, build, catalogue, parameters
from core.recipes import has_effect, in_order, key, recipe_of, step_title, understood
from core.records import (
    AccuracyForecast,
    Cut,
    NextStep,
    NextSteps,
    Note,
    Objective,
    Outcome,
    Run,
    Sensitivity,
    Step,
    StepReport,
)
from core.records.standing import Standing
from core.runs.forecast import forecast
from core.runs.offers import BEARABLE, part_of
from core.search.choose import Choice, Grounds, gains, judged
from core.search.constraints import Limits
from core.search.goal import GAIN, aimed, obstacle
from core.search.loss import standing_for

MOST = 3
EXCLUDE = "exclude"  # the parameter of a pass that names layers to leave alone
Found = Iterator[NextStep]


def next_steps(
    run: Run,
    outcome: Outcome,
    backend: str,
    known: Sensitivity | None = None,
    tried: Collection[str] = (),
) -> NextSteps | None:
    """What to do next about a recipe that was measured.

    None where it made no model, or holds a step of another version.

    Args:
        run: with its numbers.
        outcome: of the recipe.
        backend: of the run.
        known: what a cut costs the model as the steps before it leave it, if that was measured.
        tried: keys of recipes that other runs have measured on this model and backend.
    """
    goal = run.spec.goal
    limits = Limits(goal.max_drop) if goal is not None else Limits()
    choice = judged(run, outcome, limits, (backend,))
    if choice is None or understood(outcome.recipe) != outcome.recipe:
        return None
    case = _Case(run, choice, backend, known, frozenset(tried))
    standing, ways = case.standing()
    return NextSteps(standing, tuple(itertools.islice(case.untried(ways), MOST)))


@dataclass(frozen=True)
class _Case:
    """A recipe as it stands on one backend."""

    run: Run
    choice: Choice
    backend: str
    known: Sensitivity | None
    tried: frozenset[str]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.choice.outcome.recipe.steps

    @property
    def objective(self) -> Objective:
        goal = self.run.spec.goal
        return goal.objective if goal is not None else Objective.FASTEST

    def standing(self) -> tuple[Note, Found]:
        """How the recipe stands, and the ways on from there."""
        goal, where = self.run.spec.goal, label_of(self.backend)
        grounds, speed = self.choice.accuracy.grounds, self.choice.speed
        if self.choice.candidate.digest == self.run.model.digest:
            smaller = self.objective is Objective.SMALLEST
            return Note.of("next.unchanged", smaller=smaller), self.more_gain()
        if grounds is Grounds.LOSES:
            allowed = None if goal is None else goal.max_drop
            return Note.of("next.loses", backend=where, allowed=allowed), self.to_lose_less()
        if speed.ratio is None:
            return Note.of("next.untimed", backend=where), self.to_run_there()
        if not gains(self.run, self.choice, self.objective):
            slower = speed.verdict == "slower"
            return Note.of("next.no_gain", backend=where, slower=slower), self.to_be_faster()
        unknown = grounds is Grounds.UNKNOWN
        smaller = self.objective is Objective.SMALLEST
        said = Note.of("next.gains", backend=where, smaller=smaller, unknown=unknown)
        return said, self.more_gain()

    def untried(self, ways: Found) -> Found:
        """Each recipe once, without those that were measured."""
        seen = {key(recipe.steps) for recipe in self.run.spec.recipes} | self.tried
        for way in ways:
            asked = key(way.recipe.steps)
            if asked not in seen:
                seen.add(asked)
                yield way

    def to_lose_less(self) -> Found:
        """Two ways to lose less, and training; then the other ways."""
        ways = itertools.chain(self._gentler(), self._left_alone(), self._safer(), self._dropped())
        found = self.untried(ways)
        yield from itertools.islice(found, MOST - 1)
        yield from self._mended()
        yield from found

    def to_run_there(self) -> Found:
        """What may run where this did not, or was not timed."""
        yield from self._aimed()
        yield from self._dropped()

    def to_be_faster(self) -> Found:
        """What may be faster than this."""
        yield from self._aimed()
        yield from self._dropped()
        yield from self.more_gain()

    def more_gain(self) -> Found:
        """Passes that pay and are not in the recipe: arithmetic, then structure, then the rest."""
        gain, present = GAIN[self.objective], {step.pass_name for step in self.steps}
        families = {catalogue()[name].family for name in present & set(catalogue())} - {""}
        calibrated = bool(self.run.spec.calibration)
        found = [
            (name, kind)
            for name, kind in catalogue().items()
            if gain in kind.pays
            and name not in present
            and kind.family not in families
            and not (kind.family and self.run.model.quantized)
            and obstacle(name, self.backend, calibrated) is None
        ]
        for name, kind in sorted(found, key=lambda one: (one[1].exact, not one[1].family)):
            integers = kind.for_integers if self._is_integer() else {}
            step = aimed(Step(name, {**kind.pays[gain][0], **integers}), self.backend)
            yield _leads((*self.steps, step), Note.of("next.add", added=step_title(step)))

    def _gentler(self) -> Found:
        """Less of each step that loses, the last one first."""
        for at, step in reversed(list(enumerate(self.steps))):
            kind = catalogue().get(step.pass_name)
            if kind is None or kind.exact:
                continue
            stops = [(one.asked, one.share) for one in build(step).gentler()]
            if not stops:
                continue
            expected = [self._expected(at, share) for _, share in stops]
            pick = len(stops) // 2
            if any(expected):
                pick = next((i for i, one in enumerate(expected) if self._bearable(one)), -1)
            if pick >= 0:
                less = stops[pick][0].step()
                now, then = step_title(step), step_title(less)
                why = Note.of("next.instead", then=then, now=_apart(now, then))
                yield _leads(self._with(at, less), why, expected[pick])

    def _expected(self, at: int, share: float) -> AccuracyForecast | None:
        """The forecast of a part of the cut, where the cut is all that the recipe may lose by."""
        cuts = self._report(at).cuts
        if self.known is None or share >= 1 or self.steps[at + 1 :] or not _is_cut(cuts):
            return None
        return forecast(part_of(cuts, share), self.known)

    def _bearable(self, expected: AccuracyForecast | None) -> bool:
        """Whether a forecast keeps to the limit, or halves what changes now, whichever is more."""
        goal = self.run.spec.goal
        least = 100 - (goal.max_drop if goal is not None else BEARABLE)
        digest = self.choice.candidate.digest
        row = standing_for(Standing(self.run), digest, "agreement", (self.backend,))
        if row is not None and row.value is not None:
            least = max(least, (100 + row.value) / 2)
        return expected is not None and expected.agreement >= least

    def _left_alone(self) -> Found:
        """The layer that loses most, of the last step that tried each alone."""
        for at, step in reversed(list(enumerate(self.steps))):
            effects = self._report(at).effects
            if EXCLUDE not in _parameters(step) or len({e.setting for e in effects}) != 1:
                continue
            alone = tuple(step.params.get(EXCLUDE, ()))
            left = [e for e in effects if not set(e.layers) & set(alone)]
            total = sum(effect.error for effect in left)
            if len(left) < 2 or total <= 0:
                continue
            worst = max(left, key=lambda effect: effect.error)
            changed = Step(step.pass_name, {**step.params, EXCLUDE: (*alone, *worst.layers)})
            share = 100 * worst.error / total
            why = Note.of("next.leave", layer=worst.layers[0], share=share)
            yield _leads(self._with(at, changed), why)
            return

    def _safer(self) -> Found:
        """Arithmetic that repairs itself, instead of what does not, or instead of a cut."""
        for at, step in reversed(list(enumerate(self.steps))):
            kind = catalogue().get(step.pass_name)
            if kind is None or not (kind.family or _is_cut(self._report(at).cuts)):
                continue
            others = {catalogue()[s.pass_name].family for s in self.steps if s is not step} - {""}
            for safe in self._arithmetic(kind.family):
                if safe.pass_name != step.pass_name and not others:
                    now, then = step_title(step), step_title(safe)
                    why = Note.of("next.safer", then=then, now=_apart(now, then))
                    yield _leads(self._with(at, safe), why)

    def _arithmetic(self, family: str) -> Iterator[Step]:
        """The gentlest step of each pass of a family, or of any, that gains time here."""
        for name, kind in catalogue().items():
            if not kind.family or kind.family != (family or kind.family) or TIME not in kind.pays:
                continue
            if obstacle(name, self.backend, bool(self.run.spec.calibration)) is None:
                yield aimed(Step(name, kind.pays[TIME][0]), self.backend)

    def _mended(self) -> Found:
        """Training behind what loses."""
        present = {step.pass_name for step in self.steps}
        if not self.run.spec.calibration:
            return
        for name, kind in catalogue().items():
            if kind.mends and name not in present:
                integers = kind.for_integers if self._is_integer() else {}
                step = kind(**integers).step()
                why = Note.of("next.mend", added=step_title(step))
                yield _leads((*self.steps, step), why, lacks=kind.lacks())

    def _is_integer(self) -> bool:
        """Whether the recipe holds a step that computes in integers."""
        known = (step for step in self.steps if step.pass_name in catalogue())
        return any(build(step).integers_on() for step in known)

    def _aimed(self) -> Found:
        """The same, written for this backend."""
        for at, step in enumerate(self.steps):
            about = _parameters(step).get("backend")
            if about is None or not has_effect(about[1], step.params, catalogue()[step.pass_name]):
                continue
            there = aimed(step, self.backend)
            now = step.params.get("backend", about[0])
            if there.params["backend"] not in ("", now):
                why = Note.of(
                    "next.aim", what=step_title(step), now=label_of(str(now)),
                    backend=label_of(self.backend),
                )  # fmt: skip
                yield _leads(self._with(at, there), why)

    def _dropped(self) -> Found:
        """Without the arithmetic: the model stays float."""
        for at, step in enumerate(self.steps):
            kind = catalogue().get(step.pass_name)
            if kind is not None and kind.family:
                rest = (*self.steps[:at], *self.steps[at + 1 :])
                yield _leads(rest, Note.of("next.drop", what=step_title(step)))

    def _with(self, at: int, step: Step) -> tuple[Step, ...]:
        return (*self.steps[:at], step, *self.steps[at + 1 :])

    def _report(self, at: int) -> StepReport:
        """What a step of the recipe did; an empty report where none is kept."""
        reports = self.choice.candidate.report
        return reports[at] if at < len(reports) else StepReport(self.steps[at])


def _leads(
    steps: Iterable[Step], why: Note, expected: AccuracyForecast | None = None, lacks: str = ""
) -> NextStep:
    return NextStep(recipe_of(in_order(steps)), why, expected, lacks)


def _parameters(step: Step) -> dict[str, tuple[Any, Parameter]]:
    kind = catalogue().get(step.pass_name)
    return parameters(kind) if kind is not None else {}


def _is_cut(cuts: Sequence[Cut]) -> bool:
    return any(cut.removed for cut in cuts)


def _apart(now: str, then: str) -> str:
    """What a title says besides the words that it begins with as the other does: "40 %"."""
    words, others = now.split(), then.split()
    pairs = zip(words, others, strict=False)
    same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return " ".join(words[same:]) or now
