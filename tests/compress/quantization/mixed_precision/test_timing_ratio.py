"""Races: the ratio's interval holds the truth, ties and failures are told apart."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext

import numpy as np
import pytest

from core.calibration import graph_timing as races
from core.calibration.services import Lap
from core.compress.quantization.mixed_precision.timing_ratio import CAREFUL, careful, ratio
from core.errors import BackendUnavailable
from core.worker.client import Worker
from core.worker.timing import plan
from tests.compress.quantization.nets import Random, parsed, random, residual


def laps(share: float, noise: float, blocks: int, seed: int) -> tuple[Lap, Lap]:
    base = 1 + noise * np.random.default_rng(seed).exponential(size=(2, blocks))
    return Lap(tuple(base[0])), Lap(tuple(share * base[1]))


def test_the_interval_holds_the_median_in_95_of_100_cases():
    held = [(r := ratio(*reversed(laps(0.8, 0.1, 16, s)))).low <= 0.8 <= r.high for s in range(400)]
    assert np.mean(held) >= 0.93


def test_a_tie_is_hardly_ever_called_faster():
    called = [ratio(*reversed(laps(1.0, 0.1, 16, s))).faster for s in range(400)]
    assert np.mean(called) < 0.04
    assert ratio(*reversed(laps(0.8, 0.05, 16, 0))).faster


def test_what_cannot_run_is_never_faster():
    assert not ratio(Lap(reason="refused"), Lap((1.0,) * 8)).faster
    assert not ratio(Lap((1.0,) * 8), Lap(reason="refused")).faster


@pytest.mark.parametrize(
    ("share", "noise", "most"), [(0.5, 0.01, 1), (0.95, 0.5, 3), (2.0, 0.1, 1)]
)
def test_an_open_race_is_run_again(share, noise, most):
    asked = []

    def race(graphs, sessions=1, brief=False):
        asked.append(sessions)
        return laps(share, noise, 8, len(asked))

    careful(race, [None, None])
    assert asked == [CAREFUL] * len(asked)
    assert len(asked) <= most
    assert (len(asked) > 1) == (most > 1)


def doubled():
    """A net that takes several times as long as `residual`."""
    layers = "\n".join(f"h{i + 1} = Conv<pads=[1,1,1,1]>(h{i}, w)" for i in range(12))
    return parsed(
        f"g (float[N, 3, 12, 12] x) => (float[N, 32, 12, 12] y) {{\n"
        f"h0 = Conv(x, w0)\n{layers}\ny = Relu(h12)\n}}",
        {"w0": random(32, 3, 1, 1), "w": random(32, 32, 3, 3, scale=0.02)},
    )


@pytest.mark.backend
def test_graphs_are_timed_in_a_process_of_their_own():
    feeds = next(Random(batch=1).feeds())
    small, large, again = races.race(
        [residual(), doubled(), residual()], feeds, 2, "onnxruntime", nullcontext
    )
    assert ratio(small, large).faster
    assert not ratio(large, small).faster
    assert len(small.seconds) == len(again.seconds) == len(large.seconds)


@pytest.mark.backend
def test_who_is_refused_is_out_and_the_others_are_timed():
    broken = residual()
    next(n for n in broken.graph if n.op_type == "Softmax").op_type = "NoSuchOperator"
    good, bad, other = races.race(
        [residual(), broken, residual()], next(Random(batch=1).feeds()), 1, "onnxruntime",
        nullcontext,
    )  # fmt: skip
    assert "NoSuchOperator" in bad.reason
    assert not bad.seconds
    assert good.seconds
    assert other.seconds


@pytest.mark.backend
def test_who_ends_the_process_is_out_and_the_others_are_timed(monkeypatch: pytest.MonkeyPatch):
    class Deadly(Worker):
        def time_files(self, files, *more):
            if any(path.name == "1.onnx" for path, _ in files):
                os.killpg(self._channel.pid, signal.SIGSEGV)
            return super().time_files(files, *more)

    monkeypatch.setattr(races, "started", lambda: Deadly(None, lambda: False))
    feeds = next(Random(batch=1).feeds())
    good, bad = races.race([residual(), residual()], feeds, 1, "onnxruntime", nullcontext)
    assert good.seconds
    assert "SIGSEGV" in bad.reason


def test_a_backend_that_is_not_there_is_said_to_be_so():
    with pytest.raises(BackendUnavailable, match="no backend named"):
        races.race([residual()], {}, 1, "nowhere", nullcontext)


@pytest.mark.parametrize("call_s", [0.0002, 0.002, 0.03, 0.3, 3.0])
@pytest.mark.parametrize("sessions", [1, CAREFUL])
def test_long_runs_take_fewer_turns_but_enough_to_decide(call_s, sessions):
    effort = plan.of_race(call_s, sessions)
    blocks = effort.blocks * sessions
    assert effort.blocks * plan.CALLS_PER_BLOCK * call_s <= max(1.1, 8.1 * call_s)
    assert effort.blocks == plan.BLOCKS_MOST or call_s > 0.005
    if sessions == CAREFUL:  # so many that the interval between the extremes is one of 95 %
        assert 2 * 0.5**blocks <= 0.05
