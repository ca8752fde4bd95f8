"""Tables of the documents, made from what passes, backends, tasks and metrics state of themselves.

python -m docs.tables        writes them between their marks; `make tables` does the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from core.backends.base import catalogue as backends
from core.backends.base import offered
from core.charts import quantities
from core.measure import METRICS
from core.metrics.base import catalogue as metrics
from core.metrics.base import definitions, ordered
from core.passes.base import catalogue as passes
from core.tasks.base import FALLBACK
from core.tasks.base import catalogue as tasks

ROOT = Path(__file__).parents[1]
DIFFERENCE = "candidate minus baseline, on the same images"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |")


def passes_table() -> str:
    """One row for each pass, in the order of a recipe."""
    rows = ((f"`{name}`", kind.gives, kind.limits) for name, kind in passes().items())
    return _table(("pass", "what it does", "when it does not help"), rows)


def backends_table() -> str:
    """One row for each backend that users choose from, in the order of forms."""
    known = ((name, backends()[name]) for name in offered())
    rows = ((f"`{name}`", f"{one.label}. {one.about}", one.arithmetic) for name, one in known)
    return _table(("backend", "what it is", "computes in"), rows)


def tasks_table() -> str:
    """One row for each task, that which takes everything last."""
    known = sorted(tasks().items(), key=lambda item: (item[0] == FALLBACK, item[0]))
    rows = (
        (one.label, one.outputs, f"`{one.primary}`" if one.annotations else "", f"`{one.stand_in}`")
        for _, one in known
    )
    return _table(("task", "outputs", "scored by", "without annotations"), rows)


def metrics_table() -> str:
    """One row for each metric of outputs, and for each difference that is a row."""
    found = sorted(definitions().items(), key=lambda item: _place(item[0]))
    rows = ((f"`{name}`", one.unit, _says(name)) for name, one in found)
    return _table(("metric", "unit", "what it is"), rows)


def _place(name: str) -> tuple[int, str]:
    owner = next(one for one in ordered() if name in (one, f"{one}_delta"))
    return ordered().index(owner), name


def _says(name: str) -> str:
    return metrics()[name].gives if name in metrics() else DIFFERENCE


def _entries(found: Iterable[tuple[str, str, str]]) -> str:
    """Lines of the glossary: a term, its name in files, what it means; lists fit a phone."""
    return "\n".join(f"- **{term}** ({name}): {said}" for term, name, said in found)


def pass_entries() -> str:
    """A line for each pass as the form calls it."""
    return _entries((kind.label, f"`{name}`", kind.help) for name, kind in passes().items())


def preset_entries() -> str:
    """A line for each plain choice of a family of passes."""
    return _entries(
        (label, f"`{name}`", kind.presets_say[label])
        for name, kind in passes().items()
        for label in kind.presets
    )


def quantity_entries() -> str:
    """A line for each quantity that is measured or counted."""
    return _entries(
        (quantities.name(name), ", ".join(filter(None, (f"`{name}`", one.unit))), _meaning(name))
        for name, one in METRICS.items()
    )


def _meaning(name: str) -> str:
    return quantities.MEANINGS.get(name) or _says(name)


TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("README.md", "passes"): passes_table,
    ("README.md", "backends"): backends_table,
    ("docs/command_line.md", "tasks"): tasks_table,
    ("docs/command_line.md", "metrics"): metrics_table,
    ("docs/glossary.md", "glossary_passes"): pass_entries,
    ("docs/glossary.md", "presets"): preset_entries,
    ("docs/glossary.md", "quantities"): quantity_entries,
}


def renewed(document: str, text: str) -> str:
    """The text of a document with its tables as they should be.

    Raises:
        ValueError: a mark is missing.
    """
    for (owner, name), make in TABLES.items():
        if owner == document:
            begin, end = f"<!-- {name}: made by make tables -->\n", f"<!-- end of {name} -->"
            before, rest = text[: text.index(begin)], text[text.index(begin) :]
            text = f"{before}{begin}{make()}\n{rest[rest.index(end) :]}"
    return text


def stale() -> dict[str, str]:
    """Documents whose tables are not as they should be -> their text as it should be."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name, _ in TABLES}
    new = {name: renewed(name, text) for name, text in texts.items()}
    return {name: text for name, text in new.items() if text != texts[name]}


if __name__ == "__main__":
    for name, text in stale().items():
        (ROOT / name).write_text(text, encoding="utf-8")
