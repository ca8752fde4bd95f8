"""The doctor's tables: a cell for each target, and sums that agree with the cells."""

from __future__ import annotations

from benchmarks.doctor import cell, summary, table
from core.records import Attempt, Diagnosis, Fate, Finding
from core.runs.doctor.examination import targets

RUNS, REFUSED = Attempt(Fate.RUNS), Attempt(Fate.REFUSED, "no layer")


def finding(place: int, target: str) -> Finding:
    """The first target runs it, the second after a rewrite, the others not at all."""
    if place == 0:
        return Finding(target, RUNS)
    return Finding(target, REFUSED, (), ("simplify",), RUNS) if place == 1 else Finding(
        target, REFUSED, rewritten=REFUSED
    )  # fmt: skip


FOUND = {"net": Diagnosis("a" * 64, tuple(finding(*one) for one in enumerate(targets())))}


def test_what_becomes_of_a_model_on_a_target():
    assert [cell(one) for one in FOUND["net"].findings[:3]] == [
        "runs",
        "refused -> runs: simplify",
        "**refused**",
    ]
    assert table(FOUND).splitlines()[2].startswith("| net | runs | refused -> runs: simplify |")


def test_how_many_run_before_and_after():
    rows = [line.split(" | ") for line in summary(FOUND).splitlines()[2:]]
    assert [row[1:] for row in rows[:3]] == [
        ["1", "1", "0", "0 |"],
        ["0", "1", "0", "0 |"],
        ["0", "0", "0", "1 |"],
    ]
