"""The glossary explains every metric, pass, choice and precision that the app names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.backends.base import catalogue as backends
from core.charts.quantities import MEANINGS
from core.measure import METRICS
from core.metrics.base import definitions
from core.passes.base import catalogue as passes
from core.passes.base import parameters
from pages.shared import glossary

TEXT = glossary.DOCUMENT.read_text(encoding="utf-8")
ENTRIES = {
    term.strip()
    for line in re.findall(r"(?m)^- (\*\*.*?):", TEXT)
    for bold in re.findall(r"\*\*(.*?)\*\*", line)
    for term in re.split(r"[(),]", bold)
}
NAMES = set(re.findall(r"`([a-z0-9_]+)`", TEXT))
CHOICES = {label for kind in passes().values() for label in kind.presets}
PRECISIONS = {one for backend in backends().values() for one in backend.precisions}


def test_every_pass_and_every_metric_has_its_line():
    assert {*passes(), *METRICS} <= NAMES
    assert {*METRICS} - {*definitions()} == {*MEANINGS}


@pytest.mark.parametrize("name", passes())
def test_every_choice_of_a_pass_says_in_a_line_what_it_does(name: str):
    kind = passes()[name]
    assert {*kind.presets_say} == {*kind.presets}
    for label, said in kind.presets_say.items():
        assert f"- **{label}** (`{name}`): {said}\n" in TEXT
    for _, about in parameters(kind).values():
        assert {*about.names} <= {*about.choices}


@pytest.mark.parametrize("term", sorted(PRECISIONS | {"fp16", "fp32", "int8", "int4", "int3"}))
def test_every_precision_has_its_entry(term: str):
    assert term in ENTRIES


@pytest.mark.parametrize(
    "term",
    ["obs", "inner", "QDQ", "VNNI", "per channel", "calibration", "GPTQ", "points", "pp", "MACs"],
)
def test_terms_that_help_texts_use_have_their_entries(term: str):
    assert term in ENTRIES


def test_the_app_shows_the_page_and_the_documents_link_it():
    shown = glossary.words()
    assert "<!--" not in shown
    assert "**calibration**" in shown
    root = Path(glossary.DOCUMENT).parents[1]
    assert "docs/glossary.md" in (root / "README.md").read_text(encoding="utf-8")
