"""README.md of a package: what it is, what was measured, how it is run, what is inside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from core.backends.base import label, reads
from core.charts.card import card
from core.charts.recipe_words import steps_in_words
from core.charts.summary import Delta, accuracy_delta, headline, latency_delta, size_delta
from core.formats.base import label as format_label
from core.package.base.subject import Subject
from core.records import Run
from core.runs.package_file import SUMS

INSIDE = {
    "predict.py": "the program in Python: loads the model, prepares the input, prints the answer",
    "predict.cpp": "the same in C++",
    "CMakeLists.txt": "compiles predict.cpp",
    "Predict.kt": "the same in Kotlin, for Android",
    "requirements.txt": "what predict.py needs, at the versions that measured",
    "preprocess.json": "how pixels become the input",
    "labels.txt": "a class on each line, from class 0",
    "recipe.json": "the passes that made the model",
    "card.svg": "the result as a picture",
    "measured.json": "the question and every number with its interval; "
    "`python -m core card rerun measured.json` measures it again",
    "measured.csv": "the same rows as a table",
    SUMS: "of every file: `sha256sum -c SHA256SUMS`",
}
GUESSED = (
    "**Nobody stated how pixels become this model's input.** preprocess.json holds a guess from "
    "its shape; hold it against how the model was trained."
)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&])")


def readme(run: Run, subject: Subject, names: Iterable[str]) -> str:
    """The page.

    Args:
        run: that measured it.
        subject: the model on its backend.
        names: of the texts in the package.
    """
    made = plain(" + ".join(steps_in_words(subject.recipe))) or "the original"
    parts = [
        f"# {plain(subject.name)} for {label(subject.spec)}",
        f"Made by: {made}.",
        plain(headline(run, subject.digest)),
        _table(_facts(run, subject)),
        "## Run it",
        _commands(subject, set(names)),
        "## What is inside",
        _table(_inside(subject, names)),
    ]
    if subject.pixels is not None and subject.pixels.guessed:
        parts.insert(4, GUESSED)
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Any text as text of Markdown, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _facts(run: Run, subject: Subject) -> Mapping[str, str]:
    """Three deltas, and the conditions that they hold under."""
    digest = subject.digest
    deltas = (
        accuracy_delta(run, digest),
        latency_delta(run, digest, subject.spec),
        size_delta(run, digest),
    )
    shown = {delta.label: _said(delta) for delta in deltas}
    conditions = {name: words for name, words in card(run, digest).conditions if name != "File"}
    measured = {"Measured": run.created[:10]} if run.measurements else {}
    file = {"Model": f"SHA-256 {digest} of the ONNX file"}
    return shown | measured | conditions | file


def _said(delta: Delta) -> str:
    before = f"{delta.before} before, " if delta.before not in ("–", delta.after) else ""
    words = [f"{before}{delta.after}" if delta.after != "–" else "", delta.change]
    words += [f"95 % interval {delta.interval}" if delta.interval else "", delta.verdict]
    return "; ".join(filter(None, (*words, delta.caution)))


def _commands(subject: Subject, names: set[str]) -> str:
    given = "IMAGE" if subject.pixels and subject.pixels.is_decoded else "FILE"
    lines = ["    python -m venv venv", "    venv/bin/pip install -r requirements.txt"]
    lines.append(f"    venv/bin/python predict.py {given}")
    if "CMakeLists.txt" in names:
        lines += ["", "In C++, with the development files of OpenCV and of the runtime:", ""]
        lines += ["    cmake -B build && cmake --build build", "    build/predict IMAGE"]
    return "\n".join(lines)


def _inside(subject: Subject, names: Iterable[str]) -> Mapping[str, str]:
    found = {subject.file: f"the model, {format_label(reads(subject.spec))}"}
    return found | {name: INSIDE[name] for name in INSIDE if name in {*names, SUMS}}


def _table(rows: Mapping[str, str]) -> str:
    lines = [f"| {plain(name)} | {_cell(words)} |" for name, words in rows.items() if words]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _cell(words: str) -> str:
    return plain(words).replace("\\`", "`")
