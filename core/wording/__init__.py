"""Wording: the sentence of a note, made here and nowhere else.

One module for what several passes say, and one for each pass with sentences of its own, found by
its file name. Each maps codes to templates: a format string over the note's values, or a function
of them where words depend on numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.catalogue import discover
from core.records import Json, ModelSummary, NextStep, Note, StepReport, to_json
from core.wording.advice import FIGURES, TITLES
from core.wording.next_steps import WHY, forecast_words
from core.wording.template import Template, filled

SENTENCES: Mapping[str, Template] = {
    code: template
    for found in discover("core.wording", "SENTENCES", "template").values()
    for code, template in found.items()
}


def sentence(note: Note) -> str:
    """The sentence of a note; of one from a later version, its code and values."""
    template = SENTENCES.get(note.code)
    if template is None:
        values = ", ".join(f"{name} {value}" for name, value in note.values.items())
        return f"{note.code}: {values}" if values else note.code
    return filled(template, {name: _spoken(value) for name, value in note.values.items()})


def _spoken(value: Any) -> Any:
    """A value with the sentence of each note in it."""
    if isinstance(value, Note):
        return sentence(value)
    return [*map(_spoken, value)] if isinstance(value, list | tuple) else value


def sentences(notes: Iterable[Note]) -> tuple[str, ...]:
    """The sentences of several notes."""
    return tuple(map(sentence, notes))


@dataclass(frozen=True, slots=True)
class Advised:
    """A piece of advice in words: what it is about, the number that backs it, the sentence."""

    title: str
    figure: str
    text: str


def advised(note: Note) -> Advised:
    """Advice in words."""
    title, figure = (filled(kind.get(note.code, ""), note.values) for kind in (TITLES, FIGURES))
    return Advised(title, figure, sentence(note))


@dataclass(frozen=True, slots=True)
class Suggested:
    """A next step in words: what is changed, and why or what it costs."""

    change: str
    why: str


def suggested(step: NextStep) -> Suggested:
    """A next step in words; a forecast is called one."""
    change, why = sentence(step.note), filled(WHY[step.note.code], step.note.values)
    known = forecast_words(step.forecast) if step.forecast is not None else ""
    if step.lacks:
        return Suggested(change, f"Not installed here; this brings it: {step.lacks}")
    return Suggested(change, " ".join(filter(None, (why, known))))


def summary_in_words(summary: ModelSummary) -> Json:
    """A summary as JSON with sentences for notes, as the command line prints it."""
    advice = [to_json(advised(note)) | {"code": note.code} for note in summary.advice]
    whole: Json = to_json(summary)
    return whole | {"advice": advice, "warnings": [*sentences(summary.warnings)]}


def in_words(report: StepReport) -> Json:
    """A report as JSON whose notes are sentences, as the command line prints it."""
    left = [{"node": skip.node, "reason": sentence(skip.reason)} for skip in report.skipped]
    spoken = {"notes": [*sentences(report.notes)], "warnings": [*sentences(report.warnings)]}
    whole: Json = to_json(report)
    return whole | spoken | {"skipped": left}
