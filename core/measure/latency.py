"""How fast is the candidate beside the baseline, on one backend with one thread count?

Both models live in one worker and are timed interleaved; every pair of fresh sessions is another
draw of memory layout. After three pairs the hierarchical bootstrap speaks; pairs are added until
its interval is at most 3 % wide or the time is used up. Rows go out after every pair, so that a
first answer is there early and tightens while the user looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from core import verdict as verdicts
from core.data import shape_text
from core.errors import CoreError
from core.measure import rows, statistics
from core.measure.crowd import Crowd
from core.measure.verify import FEEDS, Verifier
from core.metrics.base.intervals import Interval
from core.records import Measurement, ModelSummary, Verdict
from core.worker.client import Cancelled, Worker
from core.worker.protocol import PairTimes
from core.worker.setting import Setting, Source
from core.worker.timing.plan import FIRST_LOOK, of_pair, shrunk

CLOCK = "perf_counter"
LARGE_BYTES = 64 << 20  # of a file; two sessions of it take several times as much memory
PAIRS_NEEDED, PAIRS_MOST = 3, 12
Rows = list[Measurement]


@dataclass(frozen=True, slots=True)
class LatencyJob:
    """One comparison.

    Attributes:
        baseline, candidate: the two models; the same one twice is an A/A test.
        setting: backend, precision and threads.
        source: where the input comes from.
        budget_s: wall time after the first answer, at most.
        slow_down: makes the candidate slower by this share, to test the protocol itself.
    """

    baseline: ModelSummary
    candidate: ModelSummary
    setting: Setting
    source: Source
    budget_s: float = 12.0
    slow_down: float = 0.0

    @property
    def condition(self) -> dict[str, str]:
        """What must be equal for two rows to be comparable."""
        return {
            "threads": str(self.setting.options.threads),
            "baseline": self.baseline.digest,
            "input": shape_text(self.baseline.inputs),
        }


@dataclass
class Samples:
    """What the pairs of sessions have given so far."""

    minima: list[tuple[list[float], list[float]]] = field(default_factory=list)
    raw: dict[str, list[list[float]]] = field(default_factory=lambda: {"a": [], "b": []})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"a": [], "b": []})
    replies: list[PairTimes] = field(default_factory=list)
    settings: Mapping[str, str] = field(default_factory=dict)

    def crowd(self, threads: int, sides: str = "ab") -> Crowd:
        """What others had of the cores meanwhile."""
        return Crowd.of(self.replies, threads, sides)

    def add(self, reply: PairTimes) -> None:
        """Take one pair in."""
        self.replies.append(reply)
        self.minima.append((list(reply.a_min), list(reply.b_min)))
        for side, raw, cpu in (("a", reply.a, reply.cpu_a), ("b", reply.b, reply.cpu_b)):
            self.raw[side].append(list(raw))
            self.cpu[side] += cpu


def latency(
    job: LatencyJob,
    verifier: Verifier,
    on_rows: Callable[[Rows], None],
    cancelled: Callable[[], bool],
) -> Rows:
    """Measure, emitting rows on the way; the last rows are also returned.

    Raises:
        Cancelled: the user asked to stop.
    """

    def check() -> None:
        if cancelled():
            raise Cancelled

    try:
        place = job.setting.place
        with (
            place.alone(check),
            Worker(_larger(job), cancelled, verifier.artifacts, place) as worker,
        ):
            return _pairs(job, worker, verifier, on_rows)
    except CoreError as error:
        found = [
            rows.failed(job.candidate.digest, job.setting.spec, metric, error, job.condition)
            for metric in ("latency_ms", "latency_ratio")
        ]
        on_rows(found)
        return found


def _pairs(
    job: LatencyJob, worker: Worker, verifier: Verifier, on_rows: Callable[[Rows], None]
) -> Rows:
    worker.prepare(job.baseline, job.source, FEEDS)
    call_s = _first_look(job, worker, verifier, on_rows)
    affordable_s = job.budget_s / PAIRS_NEEDED
    plan = of_pair(call_s, affordable_s, job.slow_down)
    samples, start = Samples(), time.monotonic()
    found: Rows = []
    while len(samples.minima) < PAIRS_MOST:
        samples.settings = _load_both(job, worker, len(samples.minima))
        samples.add(worker.time("a", _second(job), plan, _cpu_s(job, call_s)))
        spent = time.monotonic() - start
        plan = shrunk(plan, spent / len(samples.minima), affordable_s)
        enough = len(samples.minima) >= PAIRS_NEEDED
        out_of_time = spent + spent / len(samples.minima) > job.budget_s
        found = _rows(job, samples, final=enough and out_of_time)
        on_rows(found)
        if enough and (out_of_time or verdicts.is_narrow(_ratio(samples))):
            break
    return found


def _first_look(
    job: LatencyJob, worker: Worker, verifier: Verifier, on_rows: Callable[[Rows], None]
) -> float:
    """Verify both models and show a first, rough answer; seconds of one call."""
    look = Samples(settings=_load_both(job, worker, 0))
    verifier.check(worker, _second(job), job.candidate, job.setting)
    verifier.check(worker, "a", job.baseline, job.setting)
    look.add(worker.time("a", _second(job), FIRST_LOOK, 600.0))
    on_rows(_rows(job, look, final=False))
    return min(min(side) for side in look.minima[0]) / 1e9


def _load_both(job: LatencyJob, worker: Worker, turn: int) -> Mapping[str, str]:
    """Fresh sessions, who is loaded first alternates; the settings that they run with."""
    sides = [("a", job.baseline), ("b", job.candidate)]
    if _shared(job):
        sides = sides[:1]
    settings: Mapping[str, str] = {}
    for slot, model in sides if turn % 2 == 0 else reversed(sides):
        settings = worker.load(slot, model, job.setting).settings
    return settings


def _shared(job: LatencyJob) -> bool:
    """Whether one session stands on both sides: a large model beside itself is loaded once."""
    return job.baseline.digest == job.candidate.digest and job.baseline.size_bytes > LARGE_BYTES


def _second(job: LatencyJob) -> str:
    """The slot of the candidate."""
    return "a" if _shared(job) else "b"


def _cpu_s(job: LatencyJob, call_s: float) -> float:
    """CPU time for one pair: generous, because the wall clock has its own bound."""
    threads = max(1, job.setting.options.threads or 8)
    return 60.0 + threads * max(job.budget_s, 200 * call_s)


def _ratio(samples: Samples) -> Interval:
    return statistics.ratio(samples.minima)


def _rows(job: LatencyJob, samples: Samples, final: bool) -> Rows:
    """Both medians, and the ratio with its verdict."""
    enough = len(samples.minima) >= PAIRS_NEEDED
    ratio = _ratio(samples)
    verdict = verdicts.verdict(ratio, enough)
    noisy = ""
    if final and not verdicts.is_narrow(ratio):
        noisy = f"machine too noisy: the interval is still {ratio.width:.1%} wide"
    elif not enough:
        noisy = "first look: more session pairs to come"
    detail = {
        "verdict": verdict.value,
        "pairs": len(samples.minima),
        "text": sentence(verdict, ratio),
        "settings": samples.settings,
        **samples.crowd(job.setting.options.threads).detail,
    }
    spec, condition = job.setting.spec, job.condition
    found = [_side(job, samples, "a", noisy), _side(job, samples, "b", noisy)]
    if job.baseline.digest == job.candidate.digest:
        found = found[1:]
    found.append(
        rows.measured(
            job.candidate.digest, spec, "latency_ratio", ratio, CLOCK, condition, detail, noisy
        )
    )
    return found


def _side(job: LatencyJob, samples: Samples, side: str, noisy: str) -> Measurement:
    """Median with interval, percentiles, CPU time of one model, in ms per call."""
    raw = np.concatenate(samples.raw[side]) / 1e6
    # The kernel counts CPU time in ticks as long as several calls: only a mean is meaningful.
    cpu_ms = float(np.mean(samples.cpu[side])) / 1e6
    middle = statistics.median([[ns / 1e6 for ns in one] for one in samples.raw[side]])
    detail = {
        "p90": float(np.quantile(raw, 0.9)),
        "p99": float(np.quantile(raw, 0.99)),
        "minimum": float(raw.min()),
        "cpu_ms": cpu_ms,
        "samples": len(raw),
        "settings": samples.settings,
        **samples.crowd(job.setting.options.threads, side).detail,
    }
    model, condition = job.candidate, job.condition
    if side == "a":  # a baseline is timed anew beside each candidate, and drifts with the machine
        model, condition = job.baseline, job.condition | {"beside": job.candidate.digest}
    return rows.measured(
        model.digest, job.setting.spec, "latency_ms", middle, CLOCK, condition, detail, noisy
    )


def sentence(verdict: Verdict, ratio: Interval) -> str:
    """The verdict with its size, for a person."""
    if verdict is Verdict.FASTER:
        return f"{1 / ratio.value:.2f}x faster"
    if verdict is Verdict.SLOWER:
        return f"{ratio.value:.2f}x slower"
    half = max(ratio.high - ratio.value, ratio.value - ratio.low)
    if verdict is Verdict.SAME:
        return f"no difference shown, ±{half:.1%}"
    return f"not enough data, ±{half:.1%}"


def _larger(job: LatencyJob) -> ModelSummary:
    return max(job.baseline, job.candidate, key=lambda model: model.size_bytes)
