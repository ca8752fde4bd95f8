"""What passes say of their work, so that a net of a hundred layers is read at a glance.

Layers that were left alone for one reason are one line, however many they are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from core import wording
from core.backends.base import catalogue as backends
from core.passes.base import label, not_applied
from core.records import Note, Outcome, Skip, StepReport

LISTED = 4


def reasons(skipped: Sequence[Skip]) -> list[tuple[str, list[str]]]:
    """Each reason with the layers that it holds for, the most frequent first."""
    found: dict[str, list[str]] = {}
    for skip in skipped:
        found.setdefault(wording.sentence(skip.reason), []).append(skip.node)
    return sorted(found.items(), key=lambda pair: -len(pair[1]))


def named(layers: Sequence[str], most: int = LISTED) -> str:
    """The first layers by name and how many more there are."""
    more = len(layers) - most
    words = ", ".join(layers[:most])
    return f"{words} and {more:,} more" if more > 0 else words


def headline(step: StepReport) -> str:
    """The pass and what came of it: Fold batch norms · 12 changed · 0.1 s."""
    if step.reverted:
        return f"{label(step.step)} was not applied"
    return f"{label(step.step)} · {step.changed:,} changed · {step.seconds:.1f} s"


def missing(outcome: Outcome) -> str:
    """What a candidate does not hold of what was asked for, to stand before all numbers of it."""
    if outcome.candidate is None or not outcome.failed:
        return ""
    lines = " ".join(said(not_applied(step)) for step in outcome.failed)
    return f"{lines} What the other steps made: "


def said(note: Note | str) -> str:
    """A note, or a reason, with backends called as on the screen; passes know identifiers."""
    sentence = note if isinstance(note, str) else wording.sentence(note)
    return _identifiers().sub(lambda found: backends()[found[0]].label, sentence)


@functools.cache
def _identifiers() -> re.Pattern[str]:
    names = sorted(map(re.escape, backends()), key=len, reverse=True)
    return re.compile(rf"(?<![\w./-])(?:{'|'.join(names)})(?![\w/-]|\.\w)")


def left_alone(skipped: Sequence[Skip]) -> str:
    """How many layers were left alone."""
    return f"{len(skipped):,} layer{'s' * (len(skipped) != 1)} left alone"
