"""Search job: the work on a run that has a goal; one recipe after the other, until the time is up.

What is tried next is said by `core.search.goal`. Each recipe is written into the run's question
before it is made, so that a run that was stopped goes on with it.
"""

from __future__ import annotations

from dataclasses import replace

from core.devices.local import lock
from core.measure import Cancelled
from core.pipeline.client import Workshop
from core.recipes import key
from core.records import ExperimentSpec, Goal, Outcome, Recipe, Run
from core.runs.executor import Job, Watch, distinct_models, is_there, recipes
from core.runs.home import Home
from core.runs.pace import OutOfTime, Pace, TimeLimit
from core.runs.store import Store
from core.search import goal as search
from core.search.choose import answer
from core.search.goal import Trial

ENOUGH = "Nothing is left to try."
FEW = 8  # layer shapes that were timed: they say nothing yet about those to come,
SHARE = 0.2  # unless they took this part of the time that there was


class SearchJob(Job):
    """The work on one run towards its goal."""

    def __init__(self, home: Home, store: Store, run: Run, watch: Watch | None = None) -> None:
        """Prepare the work; its minutes begin now."""
        super().__init__(home, store, run, watch)
        self._goal = _goal(run.spec)
        self._progress = self._limit = TimeLimit(60 * self._goal.minutes)
        self._pace = Pace()
        self._timing: tuple[float, int] | None = None
        self._timed_s = 0.0  # of layers: others may use the same times
        self._earlier_s = 0.0  # of them, in the stages before

    def _work(self) -> str:
        with Workshop() as workshop:
            try:
                return self._search(workshop)
            except Cancelled:
                if self._stop:
                    raise
        return self._too_late()

    def _search(self, workshop: Workshop) -> str:
        """Try what is next until nothing is, or nothing that fits; why it ended."""
        asked = recipes(self._run.spec)
        base = self._made(workshop, 0, asked[0])
        distinct_models(self._run.model, [base])
        for position, recipe in enumerate(asked[1:], 1):
            self._try(workshop, base, position, Trial(recipe))
        before: Trial | None = None
        last = ENOUGH
        while (trial := search.following(self._read())) is not None and trial != before:
            if not self._fits(trial):
                last = f"{self._up}: {trial.recipe.name} would not have fitted."
                trial = search.more_threads(self._read())
                if trial is None or trial == before or not self._fits(trial):
                    break
            self._try(workshop, base, self._position(trial.recipe), trial)
            before = trial
        self._start_of_the_best()
        return last

    def _fits(self, trial: Trial) -> bool:
        """Whether something may still be begun, by how long its like has taken."""
        pair_s = self._run.spec.latency_budget_s
        needed_s = pair_s if trial.threads else self._pace.expected_s(_passes(trial.recipe))
        return needed_s <= self._limit.left_s

    def _try(self, workshop: Workshop, base: Outcome, position: int, trial: Trial) -> None:
        """Make a recipe and measure it beside the original."""
        left_s, self._timed_s, self._timing = self._limit.left_s, 0.0, None
        found = self._known.get(key(trial.recipe.steps))
        is_new = found is None or found.late
        if found is None or found.late or (found.candidate is not None and not is_there(found)):
            found = self._made(workshop, position, trial.recipe)
            self._known[key(trial.recipe.steps)] = found
        if found.summary is not None:
            models = distinct_models(self._run.model, [base, found])
            pair = self._comparison(models)
            if trial.threads:
                pair = replace(pair, threads=trial.threads)
            units = [unit for unit in pair.units() if unit.kind != "startup"]
            self._measure(units)
        if is_new:
            self._pace.took(_passes(trial.recipe), left_s - self._limit.left_s - self._timed_s)

    def _position(self, recipe: Recipe) -> int:
        """Where a recipe stands in the run's question, to which it is added if need be."""
        keys = [key(asked.steps) for asked in recipes(self._run.spec)]
        if key(recipe.steps) in keys:
            return keys.index(key(recipe.steps))
        asked = replace(self._run.spec, recipes=(*recipes(self._run.spec), recipe))
        self._run = replace(self._run, spec=asked)
        self._store.set_recipes(self._run.id, asked.recipes)
        return len(keys)

    def _start_of_the_best(self) -> None:
        """How long the best takes to load, which waits until nothing else is left to do."""
        run = self._read()
        found = answer(run)
        base = run.outcomes[0]
        if found is None or found.best is None:
            return
        pair = self._comparison(distinct_models(run.model, [base, found.best.outcome]))
        self._measure([unit for unit in pair.units() if unit.kind == "startup"])

    def _read(self) -> Run:
        """The run as it is known by now."""
        return self._store.run(self._run.id) or self._run

    def _cancelled(self) -> bool:
        self._limit.look(lock.is_waiting())
        return super()._cancelled() or self._limit.is_over

    def _tell_timed(self, recipe: Recipe, done: int, total: int) -> None:
        """Give a recipe up whose layers would take longer to time than there is time."""
        super()._tell_timed(recipe, done, total)
        now = self._limit.left_s
        if self._timing is None or done <= self._timing[1]:  # another stage of the recipe begins
            self._timing = (now, done)
            self._earlier_s = self._timed_s
            return
        begun, before = self._timing
        self._timed_s = self._earlier_s + begun - now
        left_s = (begun - now) / (done - before) * (total - done)
        is_told = done - before >= FEW or begun - now > SHARE * begun
        if is_told and left_s > now:
            raise OutOfTime(
                f"{total - done} layer shapes would still have to be timed, about "
                f"{left_s / 60:.1f} minutes: more than is left.",
                "Give the search more minutes.",
            )

    def _too_late(self) -> str:
        """The last word where the time was over in the middle of something."""
        run = self._read()
        made = {key(outcome.recipe.steps) for outcome in run.outcomes}
        begun = [one.name for one in run.spec.recipes if key(one.steps) not in made]
        what = f"{begun[0]} was not finished." if begun else "what was begun was not finished."
        return f"{self._up}: {what}"

    @property
    def _up(self) -> str:
        minutes = self._goal.minutes
        return "The minute is up" if minutes == 1 else f"The {minutes:g} minutes are up"


def _passes(recipe: Recipe) -> frozenset[str]:
    return frozenset(step.pass_name for step in recipe.steps)


def _goal(spec: ExperimentSpec) -> Goal:
    if spec.goal is None:
        raise ValueError("this run has no goal")
    return spec.goal
