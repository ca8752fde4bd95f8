"""What a quantization tells of its way: shares that never fall, and a sentence for each stage."""

from __future__ import annotations

import pytest

from core.passes.base import Report
from core.passes.quantize_int8 import progress
from core.passes.quantize_int8.progress import Progress


def test_shares_follow_the_images_and_wait_at_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "PAUSE_S", 0.0)
    told: list[tuple[str, float]] = []
    made = Progress(Report(progress=lambda sentence, share: told.append((sentence, share))))
    made.stage("first", 0.0, 0.5, 100)
    made.ran(50)
    made.ran(500)
    made.say("first, now")
    made.stage("second", 0.5, 1.0, 10)
    made.ran(5)
    assert told == [
        ("first", 0.0), ("first", 0.25), ("first", 0.5), ("first, now", 0.5), ("second", 0.5),
        ("second", 0.75),
    ]  # fmt: skip


def test_many_small_runs_are_not_told_one_by_one():
    told: list[float] = []
    made = Progress(Report(progress=lambda sentence, share: told.append(share)))
    made.stage("much", 0.0, 1.0, 1000)
    for _ in range(1000):
        made.ran(1)
    assert told == [0.0]
