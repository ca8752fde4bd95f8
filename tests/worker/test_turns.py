"""Who is called when, and which calls count: each call takes a time of its own, which names it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.backends.base import Tensors
from core.backends.base.profile import TimedLayer
from core.measure import staircase
from core.records import RunOptions
from core.worker import threads
from core.worker.protocol import BothProfiles
from core.worker.timing import layers, models
from core.worker.timing.plan import (
    FIRST_LOOK,
    FULL,
    SMALLEST,
    TRIAL,
    ProfilingPlan,
    RunIn,
    TimingPlan,
    of_pair,
    of_race,
)

MS = 10**6
STEP_NS = 100  # the n-th call takes a call's length and n steps


class Machine:
    """A clock that only calls and waits move, and the names of those in order."""

    def __init__(self) -> None:
        self.now = 0
        self.trace: list[str] = []

    def call(self, name: str, ns: int) -> int:
        length = ns + STEP_NS * sum(map(str.isalpha, self.trace))
        self.trace.append(name)
        self.now += length
        return length

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)
        self.trace.append(".")

    @property
    def turns(self) -> str:
        """As `a2 b1`: runs of one name, a dot where threads were waited for."""
        runs = ((name, len(list(run))) for name, run in itertools.groupby(self.trace))
        return " ".join(f"{name}{count}" if name != "." else "." * count for name, count in runs)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Threads are unseen, so that to wait for them is to sleep."""
    made = Machine()
    for name in ("perf_counter_ns", "process_time_ns"):
        monkeypatch.setattr(time, name, lambda: made.now)
        monkeypatch.setattr(time, name.removesuffix("_ns"), lambda: made.now / 1e9)
    monkeypatch.setattr(time, "sleep", made.sleep)
    monkeypatch.setattr(threads, "TASKS", tmp_path / "none")
    return made


class Timed:
    """A session with threads that spin, or not."""

    precision, settings = "f32", {}

    def __init__(self, name: str, ns: int, machine: Machine, spins: bool = False) -> None:
        self.name, self.ns, self.machine, self.spins = name, ns, machine, spins
        self.seconds: list[float] = []

    def run(self, feeds: Tensors) -> Tensors:
        self.seconds.append(self.machine.call(self.name, self.ns) / 1e9)
        return {}

    def layers(self) -> list[TimedLayer]:
        return [TimedLayer("n", "n", "Conv", "compute", "f32", seconds=tuple(self.seconds))]

    def close(self) -> None: ...


class OwnClock(Timed):
    """A session that takes its own times."""

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        return tuple(self.machine.call(self.name, self.ns) for _ in range(runs))


def counted(times_ns: Iterator[float] | tuple[float, ...] | list[float], ns: int) -> list[float]:
    """The numbers of the calls that samples stand for; of a mean, the mean of the numbers."""
    return [round((each - ns) / STEP_NS, 2) for each in times_ns]


def compare(machine: Machine, plan: TimingPlan, ns: int, kind: type[Timed] = Timed, spins=False):
    a, b = kind("a", ns, machine, spins), kind("b", ns, machine, spins)
    return models.compare(a, b, [{}], plan, lambda _: None)


def rotate(machine: Machine, plan: TimingPlan, ns: int, names: str, spins: str = ""):
    sessions = [Timed(name, ns, machine, name in spins) for name in names]
    minima = models.rotate(sessions, [{}] * len(names), plan)
    return [counted(row, ns) for row in minima]


# Models beside each other


def test_a_pair_takes_turns_there_and_back(machine: Machine):
    found = compare(machine, TimingPlan(2, 3, 2), MS)
    assert machine.turns == "a3 b3 a3 b5 a5 b5 a5 b5 a3"
    assert counted(found.a, MS) == [7, 8, 15, 16, 17, 18, 25, 26, 27, 28, 35, 36]
    assert counted(found.b, MS) == [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33]
    assert counted(found.a_min, MS) == [7, 17, 27]
    assert counted(found.b_min, MS) == [10, 20, 30]
    assert found.cpu_a == found.a
    assert (found.repeat, found.waited_a) == (1, 0.0)


@pytest.mark.parametrize("kind", [Timed, OwnClock])
def test_short_calls_are_repeated_within_a_sample(machine: Machine, kind: type[Timed]):
    found = compare(machine, TimingPlan(1, 1, 1, sample_s=0.003), MS, kind)
    assert machine.turns == "a2 b2 a4 b7 a4"
    assert found.repeat == 3
    assert counted(found.a, MS) == [6, 17]
    assert counted(found.b, MS) == [10, 13]


@pytest.mark.parametrize(
    ("spins", "turns"),
    [(False, "a4 b4 a2 b3 a3 b3 a2"), (True, "a4 . b5 . a2 . b4 . a4 . b4 . a3")],
)
def test_threads_that_spin_are_waited_for_and_run_in(machine: Machine, spins: bool, turns: str):
    found = compare(machine, TimingPlan(3, 2, 1), MS, Timed, spins)
    assert machine.turns == turns
    assert len(found.a) == len(found.b) == 4


def test_the_plans_of_a_latency(machine: Machine):
    for plan, calls in ((FULL, 293), (SMALLEST, 25), (FIRST_LOOK, 21)):
        before = len(machine.trace)
        compare(machine, plan, MS)
        assert len(machine.trace) - before == calls


# Several in turns


def test_several_take_turns_there_and_back(machine: Machine):
    minima = rotate(machine, TimingPlan(2, 2, 1), MS, "abc")
    assert machine.turns == "a3 b3 c3 a2 b2 c3 b2 a3 b2 c3 b2 a2"
    assert minima == [[10, 20], [12, 22], [14, 24]]


def test_long_calls_only_go_forwards_and_none_runs_in(machine: Machine):
    minima = rotate(machine, TimingPlan(1, 2, 1, run_in=RunIn.SPINNING), MS, "abc")
    assert machine.turns == "a2 b2 c2 " + " ".join(["a1 b1 c1"] * 4)
    assert minima == [[6, 12], [7, 13], [8, 14]]


def test_where_one_spins_long_calls_run_in_too(machine: Machine):
    rotate(machine, TimingPlan(1, 1, 1, run_in=RunIn.SPINNING), MS, "abc", spins="b")
    assert machine.turns == "a2 b2 . c3 a2 b2 . c3 a2 b2 . c3"


def test_a_single_one_follows_itself(machine: Machine):
    assert rotate(machine, TRIAL, MS, "a") == [[2]]
    assert machine.turns == "a4"


def test_of_several_each_repeats_as_often_as_its_own_length_asks(machine: Machine):
    sessions = [Timed("a", MS, machine), Timed("b", 4 * MS, machine)]
    minima = models.rotate(sessions, [{}] * 2, TimingPlan(1, 1, 1, sample_s=0.004))
    assert machine.turns == "a2 b2 a5 b3 a5"
    assert [len(row) for row in minima] == [1, 1]


def test_the_plan_of_a_table_of_layers(machine: Machine):
    minima = rotate(machine, staircase.PLAN, 2 * MS, "abc", spins="abc")
    assert machine.turns.startswith("a6 . b6 . c6 . a3 . b3 . c5 . b3 . a5 . b3 . c5")
    assert [len(row) for row in minima] == [9, 9, 9]
    assert minima[0][:2] == [19, 35]


# Layers


class Profiling:
    """A backend whose plain and profiled sessions are called a, b and A, B."""

    label = "fake"

    def __init__(self, machine: Machine, spins: bool) -> None:
        self.machine, self.spins = machine, spins

    def load(self, artifact: Path, options: RunOptions) -> Timed:
        return OwnClock(artifact.name, MS, self.machine, self.spins)

    def profile(self, artifact: Path, options: RunOptions) -> Timed:
        return Timed(artifact.name.upper(), MS, self.machine)


def profiled(machine: Machine, plan: ProfilingPlan, spins: bool = False) -> BothProfiles:
    files = (Path("a"), Path("b"))
    return layers.profile(Profiling(machine, spins), files, RunOptions(1, "f32"), {}, plan)


def test_layers_take_turns_with_plain_calls(machine: Machine):
    found = profiled(machine, ProfilingPlan(2, 0.0, 3, 3))
    assert machine.turns == "a2 A2 b2 B2 a2 A2 b2 B2 a2 A2 b2 B4 b2 A2 a4 A2 b2 B2"
    assert found.before.runs == 3
    for row, plain, kept in ((found.before, 31, 29), (found.after, 27, 25)):
        times = (row.total_s * 1e9, row.profiled_s * 1e9, row.layers[0].seconds * 1e9)
        np.testing.assert_allclose(counted(list(times), MS), [plain, kept, kept], atol=0.02)
    assert found.before.cpu_s == pytest.approx(1e-3 + 1e-7 * (17 + 31 + 33) / 3)


def test_before_each_layer_threads_that_spin_are_waited_for(machine: Machine):
    profiled(machine, ProfilingPlan(1, 0.0, 1, 1), spins=True)
    assert machine.turns == " ".join([". a2 . A2 . b2 . B2"] * 2)


def test_the_time_for_layers_decides_their_runs(machine: Machine):
    assert profiled(machine, ProfilingPlan(1, 0.05, 2, 60)).after.runs == 6
    assert profiled(machine, ProfilingPlan(1, 0.05, 2, 4)).after.runs == 4
    assert profiled(machine, ProfilingPlan(1, 0.01, 3, 60)).after.runs == 3


# Effort

CALLS_S = (0.0, 0.0002, 0.002, 0.01, 0.03, 0.1, 0.25, 0.5, 3.0)
RACES = {
    (1, False): "3x16 3x16 3x16 3x16 1x8 1x2 1x2- 1x2- 1x2-",
    (3, False): "3x16 3x16 3x16 3x12 1x4 1x2 1x2- 1x2- 1x2-",
    (3, True): "3x16 3x16 3x16 3x7 1x5- 1x2- 1x2- 1x2- 1x2-",
}


@pytest.mark.parametrize(("sessions", "brief"), RACES)
def test_the_effort_of_a_race_follows_from_the_length_of_a_call(sessions: int, brief: bool):
    """As `warm-up x blocks`, a dash where no turn runs in."""
    found = [of_race(call_s, sessions, brief) for call_s in CALLS_S]
    texts = [f"{e.warmup}x{e.blocks}{'-' * (e.run_in is RunIn.SPINNING)}" for e in found]
    assert " ".join(texts) == RACES[sessions, brief]


def test_the_effort_of_a_latency_follows_from_the_length_of_a_call():
    """As `warm-up x blocks x quads`."""
    plans = [of_pair(call_s, 12.0 / 3, slow_down=0.25) for call_s in CALLS_S]
    assert {(plan.sample_s, plan.slow_down, plan.run_in) for plan in plans} == {
        (5e-4, 0.25, RunIn.CHANGE)
    }
    assert " ".join(f"{p.warmup}x{p.blocks}x{p.quads}" for p in plans) == (
        "10x15x4 10x15x4 10x15x4 10x15x2 10x8x2 2x5x1 2x3x1 2x3x1 2x3x1"
    )
