"""Goal search: which recipe a run tries next, given what it has measured so far.

The order is that of what is known to pay: arithmetic (int8), then structure (channels removed,
convolutions taken apart) from the gentlest on, what holds at once with arithmetic behind it and in
the shapes that integer kernels want, then all structure together, then what changes no answer;
last, of the best, more threads. What of a pass is worth a try is stated by the pass (`pays`); where
one setting loses more than the limit, or makes no model, no bolder one of the same pass is tried.

Pure: it reads a run and says what is next, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.backends.base import label as label_of
from core.passes.base import SIZE, TIME, Pass, catalogue, parameters
from core.recipes import in_order, key, original, recipe_of
from core.records import (
    ExperimentSpec,
    Goal,
    ModelSummary,
    Note,
    Objective,
    Recipe,
    Run,
    Step,
)
from core.records.standing import Standing, first_threads
from core.search.choose import Choice, Grounds, answer, gains, ranked
from core.search.constraints import Limits
from core.search.space import START

ALL_CORES = 0
LEAST_MINUTES, MOST_MINUTES = 0.5, 240.0
MOST_DROP = 100.0  # points
PAIRS = 30.0  # comparisons of two models for which the time of a search should do
LEAST_S, MOST_S = 2.0, 12.0  # of one such comparison
Recipes = Generator[Recipe, None, None]
GAIN = {
    Objective.FASTEST: TIME,
    Objective.SMALLEST: SIZE,
    Objective.MOST_ACCURATE: TIME,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried next.

    Attributes:
        recipe: that is built and measured.
        threads: with which it is timed; empty for those of the run.
    """

    recipe: Recipe
    threads: tuple[int, ...] = ()


def question(
    goal: Goal, model: ModelSummary, calibration: str, evaluation: str, **more: Any
) -> ExperimentSpec:
    """What a run is asked that searches towards a goal.

    Args:
        goal: of the search.
        model: that it begins with.
        calibration: digest of an image set; empty for none.
        evaluation: of the one on which losses are measured.
        more: other fields of the question.
    """
    return ExperimentSpec(
        title=f"{model.name}: {words(goal)}",
        model=model.digest,
        recipes=(original(),),
        backends=(goal.backend,),
        calibration=calibration,
        evaluation=evaluation,
        latency_budget_s=min(MOST_S, max(LEAST_S, 60 * goal.minutes / PAIRS)),
        goal=goal,
        **more,
    )


def words(goal: Goal) -> str:
    """A goal in few words: "fastest within 1 point on ONNX Runtime"."""
    points = f"{goal.max_drop:g} point{'s' * (goal.max_drop != 1)}"
    return f"{goal.objective.value} within {points} on {label_of(goal.backend)}"


def left_out(model: ModelSummary, goal: Goal, calibrated: bool) -> tuple[Note, ...]:
    """What will not be tried on a model although it may pay, and why.

    Args:
        model: that is searched for.
        goal: of the search.
        calibrated: whether there are calibration images.
    """
    found = []
    for name in catalogue():
        if GAIN[goal.objective] in catalogue()[name].pays:
            why = obstacle(name, goal.backend, calibrated)
            found += [why] if why else []
    if model.quantized:
        found.append(Note.of("goal.quantized"))
    return tuple(found)


def following(run: Run) -> Trial | None:
    """What to try next; None where nothing is left."""
    goal = run.spec.goal
    if goal is None:
        return None
    known = _Known(run, goal)
    for recipe in _program(known):
        if not known.is_tried(recipe):
            return Trial(recipe)
    return more_threads(run)


def _program(known: _Known) -> Recipes:
    """The recipes in order. Whoever asks for the next one has tried the last."""
    exact, arithmetic, structure = known.passes()
    if known.goal.objective is Objective.MOST_ACCURATE:
        for name in (*exact, *arithmetic, *structure):
            yield known.recipe(known.step(name, known.settings(name)[0]))
        return
    integers: list[Step] = []
    for name in arithmetic:
        integers += yield from _deeper(name, (), known)
    integers.sort(key=known.rank)
    shapes = []
    for name in structure:
        shapes.append((yield from _deeper(name, integers, known)))
    yield from _at_once([held for held in shapes if held], integers, known)
    for name in exact:
        yield from _deeper(name, (), known)


def _deeper(
    name: str, arithmetic: Sequence[Step], known: _Known
) -> Generator[Recipe, None, list[Step]]:
    """A pass from its gentlest setting on, and each that gains with arithmetic behind it as well.

    Returns:
        The steps that gain within the limits, the boldest first.
    """
    held: list[Step] = []
    for setting in known.settings(name):
        step = known.step(name, setting)
        yield known.recipe(step)
        found = known.choice(step)
        if found is None or found.accuracy.grounds is Grounds.LOSES:
            break
        if known.gains(found):
            held.insert(0, step)
            if arithmetic and not (yield from _holds((step,), arithmetic, known)):
                arithmetic = ()
    return held


def _at_once(
    shapes: Sequence[Sequence[Step]], arithmetic: Sequence[Step], known: _Known
) -> Recipes:
    """All structure together, boldly and then gently, with arithmetic and else without."""
    if len(shapes) < 2:
        return
    for end in (0, -1):
        steps = tuple(held[end] for held in shapes)
        if (yield from _holds(steps, [*arithmetic, None], known)):
            break


def _holds(
    steps: Sequence[Step], arithmetic: Sequence[Step | None], known: _Known
) -> Generator[Recipe, None, bool]:
    """These steps with each arithmetic, the best first; whether one of them keeps to the limits."""
    for last in arithmetic:
        asked = known.joined(steps, last)
        yield known.recipe(*asked)
        found = known.choice(*asked)
        if found is not None and found.accuracy.grounds is Grounds.KEEPS:
            return True
    return False


class _Known:
    """What a run has found out, by what was asked for."""

    def __init__(self, run: Run, goal: Goal) -> None:
        self._run, self.goal = run, goal
        self._tried = {key(recipe.steps) for recipe in run.spec.recipes}
        self._tried |= {key(outcome.recipe.steps) for outcome in run.outcomes}
        self._choices = {
            key(choice.outcome.recipe.steps): choice
            for choice in ranked(run, Limits(goal.max_drop), (goal.backend,))
            if not choice.outcome.failed
        }
        self._gain = GAIN[goal.objective]
        self._start = START.steps if run.model.batch_norms else ()

    def passes(self) -> tuple[list[str], list[str], list[str]]:
        """Those that may pay and can run: exact ones, arithmetic, structure."""
        calibrated = bool(self._run.spec.calibration)
        names = [
            name
            for name, kind in catalogue().items()
            if self._gain in kind.pays and not obstacle(name, self.goal.backend, calibrated)
        ]
        exact = [name for name in names if catalogue()[name].exact]
        arithmetic = [name for name in names if catalogue()[name].family]
        return exact, arithmetic, [n for n in names if n not in (*exact, *arithmetic)]

    def settings(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Of a pass, the gentlest first."""
        return catalogue()[name].pays[self._gain]

    def step(self, name: str, setting: Mapping[str, Any]) -> Step:
        """A pass at a setting, for the backend of the goal."""
        return aimed(Step(name, setting), self.goal.backend)

    def joined(self, steps: Sequence[Step], last: Step | None) -> tuple[Step, ...]:
        """Structure and arithmetic behind it, the one told of the other."""
        if last is None:
            return tuple(steps)
        told = (
            Step(step.pass_name, {**step.params, **catalogue()[step.pass_name].for_integers})
            for step in steps
        )
        return (*told, last)

    def recipe(self, *steps: Step) -> Recipe:
        """A recipe of these steps in the order of the passes, behind what prepares the model."""
        given = {step.pass_name: step for step in (*self._start, *steps)}
        return recipe_of(in_order(given.values()))

    def is_tried(self, recipe: Recipe) -> bool:
        """Whether the run has asked for the same."""
        return key(recipe.steps) in self._tried

    def choice(self, *steps: Step) -> Choice | None:
        """How the recipe of these steps stands; None where one of them made no model."""
        return self._choices.get(key(self.recipe(*steps).steps))

    def gains(self, choice: Choice) -> bool:
        """Whether a recipe is within the limits, and worth more than the original."""
        kept = choice.accuracy.grounds is Grounds.KEEPS
        return kept and gains(self._run, choice, self.goal.objective)

    def rank(self, step: Step) -> tuple[float, ...]:
        """A step that was tried alone, by its worth; the smaller the better."""
        found = self.choice(step)
        return found.rank(self.goal.objective) if found is not None else ()


def obstacle(name: str, backend: str, calibrated: bool) -> Note | None:
    """Why a pass is not tried for a backend; None where it is."""
    kind = catalogue()[name]
    if command := kind.lacks():
        return Note.of("goal.lacks", label=kind.label, command=command)
    if not calibrated and (kind.needs_data or kind.without_images):
        return Note.of("goal.needs_images", label=kind.label)
    if not _aim(kind, backend):
        return Note.of("goal.not_for", label=kind.label, backend=label_of(backend))
    return None


def aimed(step: Step, backend: str) -> Step:
    """A step told which backend it is for, where its pass wants to know."""
    kind = catalogue()[step.pass_name]
    if "backend" not in parameters(kind):
        return step
    return Step(step.pass_name, {**step.params, "backend": _aim(kind, backend)})


def _aim(kind: type[Pass], backend: str) -> str:
    """The backend as a pass is told of it; empty where it is not made for that one."""
    _, about = parameters(kind).get("backend", ("", None))
    if about is None or not about.choices or backend in about.choices:
        return backend
    plain = backend.partition("@")[0].partition(":")[0]
    return plain if plain in about.choices else ""


def more_threads(run: Run) -> Trial | None:
    """The best with all cores, where that was not measured yet."""
    found, goal = answer(run), run.spec.goal
    if found is None or goal is None or found.best is None or goal.objective is Objective.SMALLEST:
        return None
    cores = run.host.cores if run.host is not None else 1
    if cores < 2 or first_threads(run) == ALL_CORES:
        return None
    rows = Standing(run)
    best = found.best.candidate.digest
    if rows.row(best, "latency_ms", goal.backend, ALL_CORES) is not None:
        return None
    return Trial(found.best.outcome.recipe, (ALL_CORES,))
