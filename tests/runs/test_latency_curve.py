"""The staircase: what is summed, what counts as a step, and how its times come about."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core import timings
from core.measure import Cancelled
from core.records import Recipe, StaircaseQuestion, Step, Target
from core.runs import latency_curve_times
from core.runs.home import Home
from core.runs.latency_curve import staircase, wanted
from core.runs.latency_curve_times import StairTimes
from core.runs.on_demand import Turns
from core.timings import Chain, LayerSignature, LayerTime, LayerTimes

WHERE = Target("host", "onnxruntime", "1", "f32", 1)


def layer(outputs: int) -> LayerSignature:
    return LayerSignature("Gemm", 8, outputs)


def table(seconds: dict[int, float | None], half: float = 0.0) -> LayerTimes:
    rows = [
        LayerTime((layer(n),), s, None if s is None else s - half, None if s is None else s + half)
        for n, s in seconds.items()
    ]
    return LayerTimes(WHERE, tuple(rows))


def rungs(*counts: tuple[int, ...]) -> tuple[Chain, ...]:
    return tuple(tuple(layer(n) for n in row) for row in counts)


def test_a_stair_is_the_sum_of_its_layers_and_their_noise_adds_in_squares():
    found = staircase(rungs((8, 16), (8, 8)), (0.0, 0.5), table({8: 1.0, 16: 3.0}, 0.3))
    assert [s.seconds for s in found.stairs] == pytest.approx([4.0, 2.0])
    assert found.stairs[0].high - 4.0 == pytest.approx(0.3 * 2**0.5)
    assert found.stairs[1].high - 2.0 == pytest.approx(0.6)  # one shape twice: not independent
    assert (found.layers, found.untimed, found.whole) == (2, 0, True)


def test_a_step_lies_below_the_last_step_by_more_than_the_noise():
    ladder = rungs((40,), (32,), (24,), (16,), (8,))
    times = {40: 1.0, 32: 1.2, 24: 0.95, 16: 0.7, 8: 0.69}
    found = staircase(ladder, (0.0, 0.2, 0.4, 0.6, 0.8), table(times, 0.1))
    assert found.steps == (0.6,)
    sharper = staircase(ladder, (0.0, 0.2, 0.4, 0.6, 0.8), table(times, 0.001))
    assert sharper.steps == (0.4, 0.6, 0.8)


def test_what_two_values_share_brings_no_noise_into_their_difference():
    loud = LayerTimes(
        WHERE,
        (
            LayerTime((layer(99),), 5.0, 1.0, 9.0),
            LayerTime((layer(16),), 1.0, 0.99, 1.01),
            LayerTime((layer(8),), 0.5, 0.49, 0.51),
        ),
    )
    assert staircase(rungs((99, 16), (99, 8)), (0.0, 0.5), loud).steps == (0.5,)


def test_less_than_a_percent_is_no_step():
    assert staircase(rungs((16,), (8,)), (0.0, 0.5), table({16: 1.0, 8: 0.995})).steps == ()


def test_a_layer_without_a_time_is_left_out_everywhere_and_counted():
    found = staircase(rungs((16, 32), (8, 24)), (0.0, 0.5), table({16: 3, 8: 1, 32: 1, 24: None}))
    assert [s.seconds for s in found.stairs] == [3, 1]
    assert (found.layers, found.untimed) == (1, 1)


def test_half_a_table_gives_the_values_that_it_knows():
    found = staircase(rungs((32,), (16,), (8,)), (0.0, 0.5, 0.9), table({32: 2.0, 8: 1.0}))
    assert [s.at for s in found.stairs] == [0.0, 0.9]
    assert not found.whole


def test_the_ends_are_timed_first_then_the_middle():
    order = [chain[0].outputs for chain in wanted(rungs((50,), (40,), (30,), (20,), (10,), (50,)))]
    assert order[:3] == [50, 30, 40]
    assert sorted(order) == [10, 20, 30, 40, 50]


class Workshop:
    """Says the shapes at once; counts how often it was asked."""

    asked = 0

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None: ...

    def ladder(self, model: Path, recipes: tuple[Recipe, ...]) -> tuple[Chain, ...]:
        Workshop.asked += 1
        return rungs((16,), (8,))

    def micro_models(self, *_: object) -> tuple[()]:
        return ()


@pytest.fixture
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StairTimes:
    Workshop.asked = 0
    monkeypatch.setattr(latency_curve_times, "Workshop", Workshop)
    monkeypatch.setattr(
        latency_curve_times.clock, "cache_path", lambda folder, setting: folder / "t.jsonl"
    )
    return StairTimes(Home.at(tmp_path), Turns(lambda: False))


QUESTION = StaircaseQuestion(
    "m" * 64,
    tuple(Recipe("", (Step("prune_channels", {"ratio": r}),)) for r in (0.0, 0.5)),
    (0.0, 0.5),
    ("onnxruntime",),
)


def known(times: StairTimes, model: Path = Path("m")):
    deadline = time.monotonic() + 10
    while (state := times.look(QUESTION, model)).missing is None and not state.reasons:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return state


def ended(times: StairTimes) -> None:
    """Wait until its turn is over."""
    deadline = time.monotonic() + 60
    while times.look(QUESTION, Path("m")).running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_question_waits_for_its_turn_and_gets_it(times, monkeypatch):
    first = threading.Event()
    rows = list(table({16: 2.0, 8: 1.0}).rows)
    timed = clocked(rows)

    def measure(chains, setting, path, write, told, cancelled):
        timed(chains, setting, path, write, told, cancelled)
        while not first.wait(0.01):
            assert not cancelled()

    monkeypatch.setattr(latency_curve_times.clock, "measure", measure)
    other = replace(QUESTION, threads=2)
    times.measure(QUESTION, Path("m"), "one")
    while not times.look(QUESTION, Path("m")).done:
        time.sleep(0.01)
    times.measure(other, Path("m"), "two")
    waiting = times.look(other, Path("m"))
    assert (waiting.running, waiting.busy) == (False, True)
    assert times.look(QUESTION, Path("m")).running
    first.set()
    deadline = time.monotonic() + 60
    while (state := times.look(other, Path("m"))).busy or state.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (state.missing, state.reasons) == (0, {})


def clocked(rows: list[LayerTime], wait: threading.Event | None = None):
    def measure(chains, setting, path, write, told, cancelled):
        timings.start(path, WHERE)
        for number, chain in enumerate(chains):
            while wait is not None and number and not cancelled():
                wait.wait(0.01)
            if cancelled():
                raise Cancelled
            timings.append(path, next(r for r in rows if r.chain == chain))
            told(number + 1, len(chains))

    return measure


def test_nothing_is_timed_before_it_is_asked_for_and_the_shapes_are_worked_out_once(times):
    assert times.look(QUESTION, Path("m")).missing is None
    found = known(times)
    assert (found.missing, found.running, found.staircases) == (2, False, ())
    known(times)
    assert Workshop.asked == 1


def test_times_become_a_staircase_that_the_next_server_finds(times, monkeypatch, tmp_path):
    rows = list(table({16: 2.0, 8: 1.0}).rows)
    monkeypatch.setattr(latency_curve_times.clock, "measure", clocked(rows))
    times.measure(QUESTION, Path("m"))
    ended(times)
    found = known(times)
    assert (found.missing, found.running, found.done, found.total) == (0, False, 2, 2)
    assert found.staircases[0].steps == (0.5,)
    again = StairTimes(Home.at(tmp_path), Turns()).look(QUESTION, Path("m"))
    assert again.staircases == found.staircases
    assert Workshop.asked == 1


def test_timing_stops_when_asked_and_keeps_what_it_has(times, monkeypatch):
    rows = list(table({16: 2.0, 8: 1.0}).rows)
    monkeypatch.setattr(latency_curve_times.clock, "measure", clocked(rows, threading.Event()))
    times.measure(QUESTION, Path("m"))
    while not times.look(QUESTION, Path("m")).done:
        pass
    assert times.look(QUESTION, Path("m")).running
    times.stop(QUESTION)
    ended(times)
    found = known(times)
    assert (found.running, found.missing) == (False, 1)


def test_a_backend_that_is_not_here_says_so(times, monkeypatch):
    def gone(folder, setting):
        raise latency_curve_times.CoreError("not installed")

    monkeypatch.setattr(latency_curve_times.clock, "cache_path", gone)
    found = known(times)
    assert found.missing == 0
    assert found.reasons == {"onnxruntime": "not installed"}
