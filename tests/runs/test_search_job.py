"""Search job: one recipe after the other until the time is up; a made-up bench measures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.measure import Cancelled
from core.records import Candidate, Outcome, Recipe, Run, RunProgress, State
from core.runs import executor, search_job
from core.runs.home import Home
from core.runs.pace import OutOfTime, Pace, TimeLimit
from core.runs.plan import Unit
from core.runs.search_job import FEW, SearchJob
from core.runs.store import Store
from tests.search.made_up_search import FASTEST, Fate, begun, digest_of, measured
from tests.search.test_goal import net


@dataclass
class Clock:
    """Seconds that pass when the bench says so."""

    s: float = 0.0

    def monotonic(self) -> float:
        return self.s


@dataclass
class Bench:
    """Makes and measures at once, and lets time go by."""

    clock: Clock
    store: Store
    build_s: float = 5.0
    stop_at: str = ""

    def built(self, job: SearchJob, recipe: Recipe) -> Outcome:
        if not recipe.steps:
            return begun().outcomes[0]
        self.clock.s += self.build_s
        job._check()
        found = measured(begun(), recipe, net(recipe)).outcomes[-1]
        made = replace(found.candidate, path=Path(__file__))
        return replace(found, candidate=made)

    def units(self, models: tuple[tuple[str, object], ...], threads: tuple[int, ...]) -> list[Unit]:
        name, model = models[-1]
        run = self.store.run("run")
        recipe = next((r for r in run.spec.recipes if digest_of(r) == model.digest), None)

        def measure(emit: Callable[..., None], _: object) -> None:
            self.clock.s += 1.0
            if recipe is not None:
                rows = measured(begun(), recipe, net(recipe)).measurements[
                    len(begun().measurements) :
                ]
                count = {"threads": str(threads[0])}
                emit([replace(r, condition={**r.condition, **count}) for r in rows])

        unit = f"latency {threads[0]} {model.digest}"
        return [Unit(unit, "latency onnxruntime", name, 1.0, measure)]


@dataclass
class Pair:
    bench: Bench
    models: tuple[tuple[str, object], ...]
    threads: tuple[int, ...] = (1,)
    budget_s: float = 1.0

    def units(self) -> list[Unit]:
        return self.bench.units(self.models, self.threads)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    made = Bench(clock, Store(Home.at(tmp_path).database))
    monkeypatch.setattr(executor, "time", clock)
    monkeypatch.setattr(executor, "Workshop", contextlib.nullcontext)
    monkeypatch.setattr(search_job, "Workshop", contextlib.nullcontext)
    monkeypatch.setattr(search_job, "TimeLimit", lambda s: TimeLimit(s, clock.monotonic))
    monkeypatch.setattr(executor.Job, "_built", lambda job, w, recipe, c: made.built(job, recipe))
    monkeypatch.setattr(executor.Job, "_images", lambda job: (None, None))
    monkeypatch.setattr(executor.Job, "_comparison", lambda job, models: Pair(made, models))
    return made


def started(bench: Bench, tmp_path: Path, minutes: float = 5.0) -> SearchJob:
    run = begun(replace(FASTEST, minutes=minutes))
    base = Outcome(
        Recipe("original"),
        Candidate(run.model.digest, Path(__file__), Recipe("original")),
        run.model,
    )
    run = replace(run, outcomes=(), measurements=(), progress=RunProgress(State.QUEUED))
    bench.store.add_run(run)
    bench.store.add_measurements(run.id, begun().measurements)
    bench.store.add_outcome(run.id, 0, base)
    return SearchJob(Home.at(tmp_path), bench.store, bench.store.run(run.id))


def tried(run: Run) -> list[str]:
    return [outcome.recipe.name for outcome in run.outcomes[1:]]


def test_it_tries_until_nothing_is_left_and_says_so(bench: Bench, tmp_path: Path):
    assert started(bench, tmp_path).execute() is State.DONE
    run = bench.store.run("run")
    assert run.progress.message == search_job.ENOUGH
    assert len(tried(run)) == len(run.spec.recipes) - 1 == 7
    assert len({row.condition.get("threads") for row in run.measurements}) > 1  # all cores, last


def test_nothing_is_begun_that_would_not_fit(bench: Bench, tmp_path: Path):
    bench.build_s = 25.0
    started(bench, tmp_path, minutes=1.0).execute()
    run = bench.store.run("run")
    assert len(tried(run)) == 2
    assert bench.clock.s <= 60
    assert run.progress.state is State.DONE
    assert run.progress.message.startswith("The minute is up: ")
    assert run.progress.message.endswith(" would not have fitted.")


def test_what_takes_longer_than_there_is_time_is_cut_short_and_named(bench: Bench, tmp_path: Path):
    bench.build_s = 300.0
    started(bench, tmp_path, minutes=2.0).execute()
    run = bench.store.run("run")
    assert tried(run) == []
    assert run.progress.state is State.DONE
    assert run.progress.message.startswith("The 2 minutes are up")
    assert run.spec.recipes[1].name in run.progress.message


def test_a_search_that_was_stopped_goes_on_with_what_it_had_begun(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = started(bench, tmp_path)
    built = bench.built

    def stopped(job: SearchJob, recipe: Recipe) -> Outcome:
        if "prune" in str(recipe.steps):
            job._stop = True
            raise Cancelled
        return built(job, recipe)

    monkeypatch.setattr(bench, "built", stopped)
    assert job.execute() is State.CANCELLED
    before = bench.store.run("run")
    assert len(before.spec.recipes) == len(before.outcomes) + 1
    monkeypatch.setattr(bench, "built", built)
    assert SearchJob(Home.at(tmp_path), bench.store, before).execute() is State.DONE
    run = bench.store.run("run")
    assert [o.recipe for o in run.outcomes[: len(before.outcomes)]] == [
        o.recipe for o in before.outcomes
    ]
    assert run.outcomes[len(before.outcomes)].recipe == before.spec.recipes[-1]


def test_a_recipe_whose_layers_take_too_long_to_time_is_given_up(bench: Bench, tmp_path: Path):
    job, recipe = started(bench, tmp_path, minutes=1.0), Recipe("prune")
    job._tell_timed(recipe, 0, 500)
    for done in range(1, FEW):
        bench.clock.s += 0.5
        job._tell_timed(recipe, done, 500)  # a few layers say little
    with pytest.raises(OutOfTime, match="layer shapes would still have to be timed"):
        job._tell_timed(recipe, FEW, 500)


def test_one_slow_layer_gives_no_recipe_up_unless_it_took_much_of_the_time(
    bench: Bench, tmp_path: Path
):
    job, recipe = started(bench, tmp_path, minutes=1.0), Recipe("prune")
    job._tell_timed(recipe, 0, 50)
    bench.clock.s += 2.1
    job._tell_timed(recipe, 1, 50)
    bench.clock.s += 12.0
    with pytest.raises(OutOfTime, match="layer shapes"):
        job._tell_timed(recipe, 2, 50)


def test_what_was_given_up_for_want_of_time_is_made_when_the_run_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = started(bench, tmp_path)
    built = bench.built

    def late(job: SearchJob, recipe: Recipe) -> Outcome:
        if "prune" in str(recipe.steps):
            return Outcome(recipe, None, None, "more than is left", late=True)
        return built(job, recipe)

    monkeypatch.setattr(bench, "built", late)
    assert job.execute() is State.DONE
    before = bench.store.run("run")
    given_up = {o.recipe.name for o in before.outcomes if o.late}
    assert given_up
    monkeypatch.setattr(bench, "built", built)
    assert SearchJob(Home.at(tmp_path), bench.store, before).execute() is State.DONE
    made = {o.recipe.name for o in bench.store.run("run").outcomes if o.candidate}
    assert given_up <= made


def test_a_model_that_is_renamed_meanwhile_keeps_its_name_in_the_title(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = started(bench, tmp_path)
    built = bench.built

    def renamed(job: SearchJob, recipe: Recipe) -> Outcome:
        with bench.store._open() as db:
            db.execute("update runs set spec = json_set(spec, '$.title', 'another')")
        return built(job, recipe)

    monkeypatch.setattr(bench, "built", renamed)
    assert job.execute() is State.DONE
    run = bench.store.run("run")
    assert run.spec.title == "another"
    assert len(run.spec.recipes) > 2


def test_time_in_line_for_the_machine_does_not_count():
    clock = Clock()
    limit = TimeLimit(60.0, clock.monotonic)
    clock.s = 40.0
    limit.look(waiting=True)
    assert limit.left_s == 60.0
    clock.s = 105.0
    limit.look(waiting=False)
    assert limit.left_s == -5.0
    assert not limit.is_over
    assert limit.now("x").eta_s == 0.0
    clock.s = 120.0
    assert limit.is_over


def test_a_recipe_is_expected_to_take_what_its_like_took():
    pace = Pace()
    assert pace.expected_s({"a"}) == 0.0
    pace.took({"fold", "int8"}, 10.0)
    pace.took({"fold", "prune"}, 30.0)
    assert pace.expected_s({"fold", "int8"}) == 10.0
    assert pace.expected_s({"fold", "prune", "int8"}) == 40.0
    assert pace.expected_s({"fold", "replace"}) == 20.0
    assert Fate().reason == ""
