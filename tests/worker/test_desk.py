"""Inside the worker: outputs in order, whole sets on disk, and two models timed in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.backends.base import Tensors
from core.errors import InferenceFailed
from core.metrics.base import outputs
from core.metrics.base.outputs import Keep
from core.records import TensorSpec
from core.worker import evaluate
from core.worker.outputs import in_order
from core.worker.protocol import Evaluate, Evaluated, Placed
from core.worker.timing import models, turns
from core.worker.timing.plan import RunIn
from core.worker.timing.plan import TimingPlan as Plan

SPECS = (TensorSpec("a", "float32", ("N", 3)), TensorSpec("b", "float32", ("N", 5)))
A, B = np.ones((2, 3), np.float32), np.ones((2, 5), np.float32)


@pytest.mark.parametrize(
    "outputs",
    [{"a": A, "b": B}, {"b": B, "a": A}, {"p": A, "q": B}, {"q": B, "p": A},
     {"q": B[None], "p": A[..., None]}, {"x": A, "a": A, "b": B}],
)  # fmt: skip
def test_outputs_find_their_place_by_name_position_or_shape(outputs: Tensors):
    assert [array.size for array in in_order(outputs, SPECS)] == [6, 10]


@pytest.mark.parametrize(
    "outputs", [{}, {"a": A}, {"p": A, "q": A}, {"p": A, "q": np.ones((2, 7))}]
)
def test_outputs_that_fit_nowhere_are_a_failure(outputs: Tensors):
    with pytest.raises(InferenceFailed):
        in_order(outputs, SPECS)


# Whole sets


def read(folder: Path, index: int) -> np.ndarray:
    return np.load(folder / f"{index}.npy")


def test_outputs_of_batches_lie_in_one_array(tmp_path: Path):
    keep = Keep(tmp_path, 5)
    rows = np.arange(15, dtype=np.float32).reshape(5, 3)
    assert keep.add([rows[:2]], 2)
    assert keep.add([rows[2:4]], 2)
    assert not keep.add([np.concatenate([rows[4:], rows[4:]])], 2)  # the last batch was filled up
    assert keep.close() == 5
    np.testing.assert_array_equal(read(tmp_path, 0), rows)


def test_large_outputs_keep_as_many_images_as_there_is_room_for(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_BYTES", 3 * 4 * 100)
    keep = Keep(tmp_path, 10)
    assert keep.add([np.ones((2, 100), np.float32)], 2)
    assert not keep.add([np.ones((2, 100), np.float32)], 2)
    assert keep.close() == 3
    assert read(tmp_path, 0).shape == (3, 100)


def test_several_outputs_without_a_batch_axis(tmp_path: Path):
    keep = Keep(tmp_path, 2)
    assert keep.add([np.float32(3), np.ones(4, np.float32)], 1)
    assert not keep.add([np.float32(5), np.ones(4, np.float32)], 1)
    np.testing.assert_array_equal(read(tmp_path, 0).ravel(), [3, 5])


@pytest.mark.parametrize("counts", [(2, 4, 1), (1, 4, 2), (1, 1, 4), (4, 0, 4), (0, 2, 1)])
def test_boxes_of_an_image_are_not_counted_as_images(tmp_path: Path, counts):
    keep, boxes = Keep(tmp_path, 3), [np.full((k, 3), k, np.float32) for k in counts]
    assert [keep.add([some], 1) for some in boxes] == [True, True, False]
    assert keep.ragged == {0}
    assert keep.close() == 3
    found = read(tmp_path, 0)
    assert found.shape == (3, max(counts), 3)
    for row, some in zip(found, boxes, strict=True):
        np.testing.assert_array_equal(row[: len(some)], some)
        assert np.isnan(row[len(some) :]).all()


def test_of_a_fixed_batch_what_is_no_images_own_is_compared_and_not_scored(tmp_path: Path):
    keep, pairs = Keep(tmp_path, 4), [np.full((2, 3), n, np.float32) for n in range(2)]
    for pair in pairs:
        keep.add([pair, np.full((5, 2), 7, np.float32), np.float32(3)], 2)
    assert keep.ragged == {1, 2}
    assert keep.close() == 4
    np.testing.assert_array_equal(read(tmp_path, 0), np.concatenate(pairs))
    assert read(tmp_path, 1).shape == (4, 5, 2)


def asked_of(
    images: Path, batch: int | str, declared: int | str, monkeypatch: pytest.MonkeyPatch
) -> Evaluate:
    """A request for a set at `images`, put into a worker whose folder is that of the set."""
    home = images.parent
    monkeypatch.chdir(home)
    for key in ("set", "out"):
        (home / "placed" / key).mkdir(parents=True)
    images.rename(home / "placed" / "set" / images.name)
    inputs = (TensorSpec("x", "float32", (batch, 3, 8, 8)),)
    outputs = (TensorSpec("y", "float32", (declared, 4)),)
    data = Placed("set", images.name)
    return Evaluate("a", inputs, outputs, data, None, 0, Placed("out"))


def test_images_whose_boxes_differ_only_later_are_run_one_by_one(tmp_path: Path, monkeypatch):
    images = tmp_path / "images.npz"
    np.savez(images, images=np.arange(40 * 192, dtype=np.uint8).reshape(40, 8, 8, 3) // 2)
    asked: list[int] = []

    def boxes(feeds: Tensors) -> list[np.ndarray]:
        asked.append(len(feeds["x"]))
        alone = feeds["x"].reshape(len(feeds["x"]), -1)[:, :4]
        return [alone if len(asked) < 4 else np.repeat(alone, 2, 0)]

    request = asked_of(images, "N", "K", monkeypatch)
    found = evaluate.run(boxes, request, lambda _: None)
    assert asked[:4] == [2, 1, 1, evaluate.BATCH]
    assert set(asked[4:]) == {1}
    assert found == Evaluated(40, 1)
    assert read(tmp_path / "placed" / "out", 0).shape == (40, 2, 4)


@pytest.mark.parametrize(
    ("batch", "declared", "shared"),
    [(4, "K", [0]), (4, 4, []), (4, 8, [0]), (1, "K", []), ("N", "K", [])],
)
def test_a_first_axis_is_that_of_the_images_where_it_is_declared_or_shown(
    tmp_path: Path, monkeypatch, batch: int | str, declared: int | str, shared: list[int]
):
    images = tmp_path / "images.npz"
    np.savez(images, images=np.arange(8 * 192, dtype=np.uint8).reshape(8, 8, 8, 3))
    asked = asked_of(images, batch, declared, monkeypatch)
    found = evaluate.run(lambda f: [f["x"].reshape(len(f["x"]), -1)[:, :4]], asked, lambda _: None)
    assert (found.images, found.shared) == (8, tuple(shared))


def test_long_calls_take_turns_that_none_follows_itself(clock: Clock):
    calls: list[str] = []
    sessions = [Timed(name, 10**8, clock, calls) for name in "abc"]
    models.rotate(sessions, [{}] * 3, Plan(1, 2, 1, 1e-3, run_in=RunIn.SPINNING))
    assert "".join(calls)[-12:] == "abc" * 4


def test_outputs_that_change_their_axes_are_a_failure(tmp_path: Path):
    keep = Keep(tmp_path, 3)
    keep.add([np.ones((1, 3), np.float32)], 1)
    with pytest.raises(InferenceFailed, match="axes"):
        keep.add([np.ones((1, 3, 2), np.float32)], 1)


SPEC = (TensorSpec("x", "float32", ("N", 2)),)
PAIR = {"x": np.array([[1, 2], [3, 4]], np.float32)}


def test_images_are_run_together_where_that_gives_the_same():
    assert evaluate._batch(lambda feeds: [feeds["x"] * 2], PAIR, SPEC) == evaluate.BATCH


@pytest.mark.parametrize(
    "model",
    [lambda feeds: [feeds["x"] / feeds["x"].sum()],  # mixes the images of a batch
     lambda feeds: [feeds["x"].sum()],
     lambda feeds: [feeds["x"][:1]]],
)  # fmt: skip
def test_and_one_by_one_where_it_does_not(model):
    assert evaluate._batch(model, PAIR, SPEC) == 1


def test_a_fixed_batch_is_kept():
    fixed = (TensorSpec("x", "float32", (1, 2)),)
    assert evaluate._batch(lambda feeds: [feeds["x"]], PAIR, fixed) == 1


# Timing, by a clock that the test turns


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def perf_counter_ns(self) -> int:
        self.now += 1
        return self.now

    process_time_ns = perf_counter_ns


class Timed:
    """A session that takes a given time, and writes down when it was called."""

    precision = "f32"

    def __init__(self, name: str, ns: int, clock: Clock, calls: list[str]) -> None:
        self.name, self.ns, self.clock, self.calls = name, ns, clock, calls

    def run(self, feeds: Tensors) -> Tensors:
        self.clock.now += self.ns
        self.calls.append(self.name)
        return {}

    def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(turns, "time", made)
    return made


def compare(clock: Clock, plan: Plan, a_ns: int = 10**6, b_ns: int = 2 * 10**6):
    calls: list[str] = []
    told: list[object] = []
    pair = (Timed("a", a_ns, clock, calls), Timed("b", b_ns, clock, calls))
    return models.compare(*pair, [{}], plan, told.append), "".join(calls), told


def test_both_sides_take_turns(clock: Clock):
    result, calls, told = compare(clock, Plan(warmup=2, blocks=3, quads=2, sample_s=1e-3))
    assert result.repeat == 1
    # After each change of sides one call goes uncounted: the caches hold the other model.
    assert calls == "aaabbb" + "a" + "aabbbbbaaa" * 3
    assert told == [{"block": n, "blocks": 3} for n in (1, 2, 3)]
    kept = (result.a, result.b, result.cpu_a, result.a_min, result.b_min)
    assert list(map(len, kept)) == [12, 12, 12, 3, 3]


def test_times_are_per_call_and_blocks_are_worth_their_minimum(clock: Clock):
    result, calls, _ = compare(clock, Plan(1, 2, 2, sample_s=5e-3))
    assert result.repeat == 5
    assert result.a == pytest.approx([1e6] * 8, rel=1e-4)
    assert result.b == pytest.approx([2e6] * 8, rel=1e-4)
    assert result.b_min == (min(result.b[:4]), min(result.b[4:]))
    assert (calls.count("a"), calls.count("b")) == (2 + 8 * 5 + 3, 2 + 8 * 5 + 2)


def test_a_slow_down_slows_b_alone(clock: Clock):
    result, _, _ = compare(clock, Plan(1, 2, 1, 1e-3, slow_down=0.5), a_ns=1000, b_ns=1000)
    assert np.median(result.b) == pytest.approx(1500, rel=0.05)
    assert np.median(result.a) == pytest.approx(1000, rel=0.05)


def test_a_session_that_holds_its_own_clock_is_asked(clock: Clock):
    class Phone(Timed):
        def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
            self.calls.append(self.name)
            return (self.ns,) * runs

    calls: list[str] = []
    pair = (Phone("a", 300, clock, calls), Phone("b", 400, clock, calls))
    result = models.compare(*pair, [{}], Plan(1, 1, 1, 1e-6), lambda _: None)
    assert (result.a, result.b_min) == ((300, 300), (400,))
    assert "".join(calls) == "aabb" + "aabbbaa"


def test_threads_that_spin_are_waited_for_whenever_the_side_changes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []
    monkeypatch.setattr(turns, "settle", lambda: calls.append("."))
    pair = (Timed("a", 10**7, clock, calls), Timed("b", 10**7, clock, calls))
    pair[0].spins = pair[1].spins = True
    models.compare(*pair, [{}], Plan(1, 2, 1, 1e-3), lambda _: None)
    assert "".join(calls) == "aa.bb." + "a" + "a.bbb.aa" + "a.bbb.aa"
    calls.clear()
    models.rotate(pair, [{}, {}], Plan(1, 1, 1, 1e-3))
    assert "".join(calls) == "aa.bb" + ".aa.bbb.aa"


def test_after_threads_have_slept_a_side_runs_in_for_as_long_as_they_need(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(turns, "settle", lambda: None)
    calls: list[str] = []
    quick = Timed("a", 10**5, clock, calls)
    side = turns.Side(turns.called(quick.run, {}), spins=True)
    both = turns.Turns([side, side], RunIn.CHANGE)
    both.take_over(0)
    assert len(calls) == 1
    both.take_over(1)
    assert len(calls) - 1 == pytest.approx(turns.WARM_S * 1e9 / quick.ns, abs=1)


def test_what_the_threads_stood_in_line_is_a_share_of_the_calls(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    class Crowded:
        """Threads that stand in line for half a millisecond in every turn."""

        now = 0

        def waited_ns(self) -> int:
            self.now += 500_000
            return self.now

        def close(self) -> None: ...

    monkeypatch.setattr(models, "Queue", Crowded)
    result, _, _ = compare(clock, Plan(1, 2, 1, 1e-3))
    assert result.waited_a == pytest.approx(0.5, rel=0.01)
    assert result.waited_b == pytest.approx(0.25, rel=0.01)
