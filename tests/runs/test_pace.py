"""The time left is steady: what was told a moment ago less that moment, about."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.measure import Source
from core.records import ModelSummary, State
from core.runs.pace import Progress
from core.runs.plan import Comparison, Unit

BACKENDS = ("onnxruntime", "openvino", "opencv")
EARLY_S = 2.0
STEP_S = 0.5


def units(models: int) -> list[Unit]:
    summaries = (
        ModelSummary(f"{n}", f"{n}", Path(f"{n}"), (), (), 17, 8, "test", 1, 1, 1, 1, 0)
        for n in range(models)
    )
    named = tuple((model.name, model) for model in summaries)
    comparison = Comparison(
        named, BACKENDS, (1,), Source(Path("set"), "d"), None, Path(), 12.0, lambda: False
    )
    return list(comparison.units())


@dataclass
class Told:
    """What was told, when, and what would have been right."""

    at: float
    left: float
    right: float


def told(models: int, takes: Callable[[Unit], float], early: Callable[[Unit], float]) -> list[Told]:
    """Run through a whole run under a clock of its own."""
    now = 0.0
    work = units(models)
    progress = Progress(models, len(work), lambda: now)
    for unit in {unit.kind: unit for unit in work}.values():
        progress.was_early(unit, early(unit), EARLY_S)
    progress.built = models
    progress.measuring(work, frozenset())
    whole, found = sum(map(takes, work)), list[Told]()
    for unit in work:
        for _ in range(max(1, round(takes(unit) / STEP_S))):
            step = takes(unit) / max(1, round(takes(unit) / STEP_S))
            left = progress.now(unit.label).eta_s
            assert left is not None
            found.append(Told(now, left, whole - now))
            now += step
        progress.finished(unit, takes(unit))
    assert progress.now("").eta_s is None
    assert progress.end(State.DONE, "").eta_s is None
    return found


def falls(moments: list[Told]) -> Iterator[float]:
    """How much faster than the clock what was told fell, as a share of it."""
    for before, after in itertools.pairwise(moments):
        expected = before.left - (after.at - before.at)
        if before.left > 5:
            yield abs(expected - after.left) / before.left


def quick(unit: Unit) -> float:
    """A small model: a tenth of what is guessed."""
    return 0.15 * unit.guess_s


def slow(unit: Unit) -> float:
    return 3.0 * unit.guess_s


def mixed(unit: Unit) -> float:
    """One backend ten times as slow as the others."""
    return unit.guess_s * (1.0 if "opencv" in unit.kind else 0.1)


@pytest.mark.parametrize("takes", [quick, slow, mixed])
@pytest.mark.parametrize("models", [2, 5, 9])
def test_what_is_told_never_jumps(takes: Callable[[Unit], float], models: int) -> None:
    """Also where the original alone said nothing."""
    for early in (takes, lambda unit: EARLY_S):
        assert max(falls(told(models, takes, early))) < 0.15


@pytest.mark.parametrize("takes", [quick, mixed])
def test_what_the_original_took_alone_makes_the_first_word_right(takes) -> None:
    """A latency that needs no more time than it took alone is no longer guessed by its budget."""
    early = lambda unit: min(EARLY_S, takes(unit) / 1.5)  # noqa: E731 - a pair takes longer
    moments = told(6, takes, early)
    assert moments[0].left == pytest.approx(moments[0].right, rel=0.5)


@pytest.mark.parametrize("takes", [quick, slow, mixed])
def test_what_is_told_comes_true(takes: Callable[[Unit], float]) -> None:
    moments = told(6, takes, lambda unit: min(EARLY_S, takes(unit) / 1.5))
    later = [one for one in moments if one.right < 0.6 * moments[0].right]
    assert later
    assert all(one.left == pytest.approx(one.right, rel=0.5, abs=6) for one in later)
