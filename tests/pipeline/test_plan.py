"""What a step needs is held against what is there before anything starts, and told with numbers."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from core.analysis import memory as sizes
from core.calibration.services import Services
from core.compress.refit.needs import Needs, Workload, refusal, remedy
from core.devices.local import memory
from core.errors import InferenceFailed, NotEnoughMemory, PassPostcondition, WorkerOutOfMemory
from core.passes import base
from core.passes.base import Graph, Pass, Report
from core.pipeline import failures, runner
from core.pipeline.clock import Clock, Remaining
from core.records import Json, Recipe, Step
from tests.builders import Images, graph

GIB = 1 << 30
Register = Callable[..., Step]


@pytest.fixture
def net() -> Graph:
    return graph(
        "(float[N,6] x) => (float[N,4] y) { a = MatMul (x, w) b = Relu (a) y = Add (b, k) }",
        w=(6, 4), k=(4,),
    )  # fmt: skip


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers a pass that needs so much, and gives its step."""

    def register(name: str, needs: Callable[[Graph, Workload], int], work: Callable[[], None]):
        @dataclass(frozen=True)
        class Fake(Pass):
            """A pass of this test."""

            label: ClassVar[str] = name
            help: ClassVar[str] = "A fake."

            def needs(self, graph: Graph, work: Workload) -> Needs:
                least = needs(graph, work)
                return Needs(least, least, "its table")

            def apply(self, graph: Graph, report: Report, statistics: Services) -> None:
                work()
                report.changed = 1

            def preview(self, graph: Graph, report: Report) -> bool:
                return True

        monkeypatch.setitem(base.catalogue(), name, Fake)  # type: ignore[arg-type]
        return Step(name)

    return register


def test_what_cannot_fit_is_refused_before_the_first_step_runs(
    net: Graph, step: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "budget_bytes", lambda: 3 * GIB)
    heard: list[str] = []
    small = step("small", lambda *_: GIB, lambda: heard.append("small runs"))
    large = step("large", lambda *_: 5 * GIB, lambda: heard.append("large runs"))
    _, (first, second) = runner.apply(
        net,
        Recipe("r", (small, large)),
        refused=lambda step, reason: heard.append(f"{step.pass_name}: {reason.message}"),
    )
    assert heard == ["large: needs 5.4 GB of memory, 3.2 GB are free (its table).", "small runs"]
    assert (first.failure, first.reverted) == ("", "")
    assert second.failure == "NotEnoughMemory"
    assert "needs 5.4 GB of memory, 3.2 GB are free" in second.reverted
    assert "LATHE_MEMORY=7G" in second.reverted


def test_a_step_is_judged_by_the_model_that_it_gets(
    net: Graph, step: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pruned first, the model may fit."""
    monkeypatch.setattr(memory, "budget_bytes", lambda: 200)
    weigh = step("weigh", lambda made, _: 2 * sizes.measure(made).weights, lambda: None)
    (alone,) = runner.apply(net, Recipe("r", (weigh,)))[1]
    assert alone.failure == "NotEnoughMemory"
    seen: list[Graph] = []

    def smaller(made: Graph, recipe: Recipe, index: int) -> Graph:
        seen.append(made)
        return graph("(float[N,6] x) => (float[N,6] y) { y = Relu (x) }")

    monkeypatch.setattr(runner, "_at", smaller)
    prune = step("prune", lambda *_: 0, lambda: None)
    reports = runner.apply(net, Recipe("r", (prune, weigh)))[1]
    assert [report.failure for report in reports] == ["", ""]
    assert len(seen) == 1


def test_a_step_hears_of_images_batch_and_workers(net: Graph, step: Register) -> None:
    heard: list[Workload] = []

    def needs(_: Graph, work: Workload) -> int:
        heard.append(work)
        return 0

    images = Images(net)
    runner.apply(net, Recipe("r", (step("any", needs, lambda: None),)), images)
    assert heard[0].images == images.count > 0
    assert heard[0].workers >= 1


def raising(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        InferenceFailed("ONNX Runtime failed: Failed to allocate memory for requested buffer"),
        PassPostcondition("ONNX Runtime does not run the result: bad allocation"),
        np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(np.float32)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_however_a_library_says_it_it_is_want_of_memory(
    net: Graph, step: Register, error: Exception
) -> None:
    (report,) = runner.apply(
        net, Recipe("r", (step("any", lambda *_: 0, raising(error)),))
    )[1]  # fmt: skip
    assert report.failure == "NotEnoughMemory"
    assert "ran out of memory" in report.reverted
    assert "LATHE_MEMORY" in report.reverted


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "no room"), InferenceFailed("a wrong shape"), KeyError("x")]
)
def test_other_failures_stay_what_they_are(error: Exception) -> None:
    found = failures.typed(error)
    assert not isinstance(found, WorkerOutOfMemory)


@dataclass(frozen=True)
class Hungry:
    """A statement of needs by the image and whatever the model."""

    by_image: int
    fixed: int

    def needs(self, graph: Graph, work: Workload) -> Needs:
        least = self.by_image * work.images + self.fixed
        return Needs(least, least, "a table")


def test_what_fits_is_not_refused(net: Graph) -> None:
    assert refusal(Hungry(0, GIB), net, Workload(), GIB) == ""
    assert refusal(Hungry(0, GIB), net, Workload(), GIB - 1)


def test_only_what_helps_is_a_remedy(net: Graph) -> None:
    """A smaller input does nothing for a table that goes by the weights."""
    work = Workload(images=100, batch=8)
    said = remedy(Hungry(0, 3 * GIB), net, work)
    assert said == "Give it more, where the machine has it: LATHE_MEMORY=4G."
    assert "fewer calibration images" in remedy(Hungry(GIB // 50, GIB), net, work)
    large = graph("(float[N,3,4096,4096] x) => (float[N,3,4096,4096] y) { y = Relu (x) }")
    assert "a smaller input" in remedy(Hungry(0, 2 * GIB), large, work)
    assert remedy(Hungry(0, 150 << 20), net, work).endswith("LATHE_MEMORY=200M.")


# Sizes


def test_activations_live_until_their_last_reader() -> None:
    made = graph(
        """(float[N,8] x) => (float[N,8] y) {
            a = Relu (x) b = Relu (a) c = Relu (b) d = Relu (c) y = Add (d, a)
        }"""
    )
    found = sizes.measure(made, batch=3)
    one = 3 * 8 * 4
    assert (found.largest, found.all, found.live) == (one, 6 * one, 3 * one)
    assert found.known


def test_weights_count_once_wherever_they_lie(net: Graph) -> None:
    found = sizes.measure(net)
    assert (found.weights, found.largest_weight) == ((6 * 4 + 4) * 4, 6 * 4 * 4)


def test_what_is_not_known_is_said() -> None:
    made = graph("(float[N,C,H,W] x) => (float[N,C,H,W] y) { y = Relu (x) }")
    assert not sizes.measure(made).known


@pytest.mark.parametrize("name", sorted(base.catalogue()))
def test_every_pass_states_what_it_needs(net: Graph, name: str) -> None:
    few = base.build(Step(name)).needs(net, Workload(8, 8, 2))
    many = base.build(Step(name)).needs(net, Workload(4096, 8, 2))
    assert 0 < few.least_bytes <= few.wish_bytes
    assert few.least_bytes <= many.least_bytes
    assert few.why


# Time left


def test_an_estimate_does_not_jump() -> None:
    now = [0.0]
    left = Remaining(lambda: now[0])
    told: list[float] = []
    for second in range(1, 61):
        now[0] = float(second)
        share = 0.002 * second if second < 30 else 0.06 + 0.9 * (second - 30) / 30
        found = left.after(min(share, 1.0))
        if found is not None:
            told.append(found)
    drops = [first - second for first, second in zip(told, told[5:], strict=False)]
    assert max(drops) < 0.5 * max(told)
    assert told[0] > 400
    assert told[-1] < 100


def test_steady_work_is_told_rightly() -> None:
    now = [0.0]
    left = Remaining(lambda: now[0])
    for second in range(1, 100):
        now[0] = float(second)
        found = left.after(second / 100)
        assert found is None or found == pytest.approx(100 - second, abs=0.5)


def test_a_clock_says_what_it_does_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Json] = []
    clock = Clock(heard.append)
    clock.begin(Step("fold_batch_norm"))
    clock.refused(Step("quantize_int8"), NotEnoughMemory("needs 5 GB.", "Use fewer."))
    monkeypatch.setattr(Remaining, "after", lambda *_: 140.0)
    clock.during(Step("fold_batch_norm"), "layer 3 of 9", 0.4)
    assert heard[0] == {"current": "Fold batch norms"}
    assert "will not be applied: needs 5 GB. Use fewer." in heard[1]["notice"]
    said = "Fold batch norms: layer 3 of 9, about 2 min left in this step"
    assert heard[2] == {"current": said, "share": 0.4, "eta_s": 140.0}
