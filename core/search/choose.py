"""Selection: which recipe of several answers a run; the one rule of "best".

Of the recipes that keep to the limits the fastest is best, where "faster" is a verdict and not a
point estimate; or the smallest, or of those that are faster the most accurate, where that is the
objective. Where none keeps to the limits, it is the one that loses least. What a recipe loses has
to be known: by the primary metric, without annotations by the answers that stay, else by the error
of the outputs. A recipe of unknown accuracy comes last.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.fidelity import in_words
from core.records import Candidate, Objective, Outcome, Run, Verdict
from core.records.standing import Standing, baseline, first_threads, measured
from core.search.constraints import Limits
from core.search.loss import Deciding, Loss, deciding, loss, standing_for
from core.search.pareto import latency

NO_LOSS = Limits()
SIGNAL = "sqnr_db"


class Grounds(enum.IntEnum):
    """What is known of a recipe's accuracy against the limits, the better first."""

    KEEPS = 0
    LOSES = 1
    UNKNOWN = 2


class Lack(enum.Enum):
    """Why a backend has no answer."""

    WITHIN = "no recipe meets the limits"
    FASTER = "no recipe that meets the limits is shown to be faster than the original"
    SMALLER = "no recipe that meets the limits is smaller than the original"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a recipe loses, held against the limits.

    Attributes:
        metric: what it is known by: "top1_delta", "agreement", "sqnr_db"; "" by nothing.
        lost: None where that is unknown, or known by the error of the outputs alone.
        badness: how far beyond the limits, in the terms of the metric; 0 within them.
    """

    grounds: Grounds
    metric: str = ""
    lost: Loss | None = None
    badness: float = 0.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How a recipe's latency compares on the backend where it does best.

    Attributes:
        ratio: to the original's; None where it was not measured.
        verdict: a `Verdict` value, or "".
    """

    ratio: float | None = None
    verdict: str = ""

    @property
    def is_faster(self) -> bool:
        """Whether the verdict says so."""
        return self.verdict == Verdict.FASTER.value

    @property
    def order(self) -> tuple[float, bool]:
        """The smaller the better; a ratio without a verdict is 1, what is unknown comes behind."""
        shown = self.is_faster or self.verdict == Verdict.SLOWER.value
        return (self.ratio if shown and self.ratio is not None else 1.0), self.ratio is None


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe that made a model, as it stands against the limits."""

    outcome: Outcome
    candidate: Candidate
    accuracy: Accuracy
    speed: Speed

    @property
    def order(self) -> tuple[float, ...]:
        """The smaller the better: limits first, then what is lost beyond them, then speed."""
        return float(self.accuracy.grounds), self.accuracy.badness, *self.speed.order

    @property
    def size_bytes(self) -> float:
        """Of the file; infinite where it was not counted."""
        summary = self.outcome.summary
        return math.inf if summary is None else summary.size_bytes

    def rank(self, objective: Objective) -> tuple[float, ...]:
        """Among recipes within the limits; the smaller the better."""
        if objective is Objective.SMALLEST:
            return (self.size_bytes, *self.speed.order)
        if objective is Objective.MOST_ACCURATE:
            lost = self.accuracy.lost
            shown = lost.points if lost is not None and lost.is_shown else 0.0
            return (shown, *self.speed.order)
        return self.order


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer for one backend.

    Attributes:
        best: the fastest recipe within the limits; None for the reason in `lack`.
        closest: where there is no best, what comes nearest; None where no recipe made a model.
    """

    backend: str
    best: Choice | None
    lack: Lack | None = None
    closest: Choice | None = None


def best(run: Run) -> Outcome | None:
    """The recipe that answers the run on all its backends: the fastest that shows no loss.

    Where every one loses, it is the one that loses least. Never the original, unless that is all
    there is to a recipe. A run that searches towards a goal is answered by that.
    """
    towards = answer(run)
    if towards is not None and (nearest := towards.best or towards.closest):
        return nearest.outcome
    found = ranked(run)
    if not found:
        return run.outcomes[-1] if len(run.outcomes) > 1 else None
    changed = [choice for choice in found if choice.candidate != baseline(run)]
    return (changed or found)[0].outcome


def answer(run: Run) -> Selection | None:
    """The best so far by the goal of a run; None where it has none."""
    goal = run.spec.goal
    if goal is None:
        return None
    return select(run, goal.backend, Limits(goal.max_drop), goal.objective)


def select(
    run: Run,
    backend: str,
    limits: Limits = NO_LOSS,
    objective: Objective = Objective.FASTEST,
) -> Selection:
    """The best recipe of one backend within the limits.

    Where the original keeps to them too, a recipe has to be shown to be faster; or it has to be
    smaller, where that is the objective.
    """
    rows, base, threads = Standing(run), baseline(run), first_threads(run)

    def in_time(candidate: Candidate) -> bool:
        return limits.allow(measured(latency(run, rows, candidate.digest, backend, threads)))

    found = ranked(run, limits, (backend,))
    within = [c for c in found if c.accuracy.grounds is Grounds.KEEPS and in_time(c.candidate)]
    if not within:
        return Selection(backend, None, Lack.WITHIN, next(iter(found), None))
    if base is not None and in_time(base):
        lack = Lack.SMALLER if objective is Objective.SMALLEST else Lack.FASTER
        gaining = [choice for choice in within if gains(run, choice, objective)]
        if not gaining:
            return Selection(backend, None, lack, min(within, key=lambda c: c.rank(objective)))
        within = gaining
    return Selection(backend, min(within, key=lambda choice: choice.rank(objective)))


def gains(run: Run, choice: Choice, objective: Objective) -> bool:
    """Whether a recipe is worth more than the original: shown to be faster, or smaller."""
    if objective is Objective.SMALLEST:
        return choice.size_bytes < run.model.size_bytes
    return choice.speed.is_faster


def ranked(
    run: Run, limits: Limits = NO_LOSS, backends: Sequence[str] | None = None
) -> list[Choice]:
    """Every recipe that made a model, the best first.

    Args:
        run: with or without numbers yet.
        limits: what it may lose.
        backends: where it runs; None for all of the run.
    """
    rows, where = Standing(run), run.spec.backends if backends is None else backends
    how = deciding(rows)
    made = (_judged(run, rows, how, outcome, limits, where) for outcome in run.outcomes[1:])
    return sorted((choice for choice in made if choice), key=lambda choice: choice.order)


def judged(
    run: Run,
    outcome: Outcome,
    limits: Limits = NO_LOSS,
    backends: Sequence[str] | None = None,
) -> Choice | None:
    """How a recipe stands against the limits; None where it made no model.

    Args:
        run: with or without numbers yet.
        outcome: of the recipe.
        limits: what it may lose.
        backends: where it runs; None for all of the run.
    """
    rows, where = Standing(run), run.spec.backends if backends is None else backends
    return _judged(run, rows, deciding(rows), outcome, limits, where)


def _judged(
    run: Run,
    rows: Standing,
    how: Deciding,
    outcome: Outcome,
    limits: Limits,
    backends: Sequence[str],
) -> Choice | None:
    made = outcome.candidate
    if made is None:
        return None
    accuracy = _accuracy(run, rows, how, made.digest, limits, backends)
    return Choice(outcome, made, accuracy, _speed(run, rows, made.digest, backends))


def _accuracy(
    run: Run,
    rows: Standing,
    how: Deciding,
    candidate: str,
    limits: Limits,
    backends: Sequence[str],
) -> Accuracy:
    base = baseline(run)
    if base is not None and base.digest == candidate:  # a recipe that left the file as it was
        return Accuracy(Grounds.KEEPS, how.loss, Loss(0.0, 0.0, 0.0, how.loss))
    row = standing_for(rows, candidate, how.loss, backends)
    lost = loss(run, rows, candidate, row.backend, how) if row is not None else None
    if lost is not None:
        if limits.bear(lost):
            return Accuracy(Grounds.KEEPS, lost.metric, lost)
        return Accuracy(Grounds.LOSES, lost.metric, lost, lost.points)
    signal = measured(standing_for(rows, candidate, SIGNAL, backends))
    if signal is None or limits.max_drop is not None:  # decibels are no points of accuracy
        return Accuracy(Grounds.UNKNOWN)
    if in_words(signal):
        return Accuracy(Grounds.LOSES, SIGNAL, badness=-signal)
    return Accuracy(Grounds.KEEPS, SIGNAL)


def _speed(run: Run, rows: Standing, candidate: str, backends: Sequence[str]) -> Speed:
    """On the backend where the recipe does best by its verdicts."""
    found = []
    for backend in backends:
        row = rows.row(candidate, "latency_ratio", backend, first_threads(run))
        value = measured(row)
        if row is not None and value is not None:
            found.append(Speed(value, str(row.detail.get("verdict", ""))))
    return min(found, key=lambda speed: speed.order, default=Speed())
