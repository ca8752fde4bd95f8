"""Results side by side: any recipes of any runs, each number with what it holds under.

Numbers of different machines, versions, inputs or images stand in one table and are never weighed:
each says what sets it apart from the first. What is called fastest or most accurate is so beyond
the 95 % intervals of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.charts import palette, quantities, text
from core.charts.accuracy import delta_text
from core.charts.conditions import input_words, run_input, threads_text
from core.charts.latency import ratio_text
from core.charts.recipe_words import steps_in_words
from core.metrics.base import DELTA, catalogue, ordered
from core.records import MEASURED, Measurement, Outcome, Run
from core.records.standing import Standing, first_threads, measured

SIZES = ("size_bytes", "zipped_bytes", "parameters", "macs")
TIMED = ("latency_ms", "load_ms", "peak_memory_bytes")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the results.

    Attributes:
        name: what its user calls it; the recipe's where it has none.
    """

    run: Run
    outcome: Outcome
    name: str = ""

    @property
    def digest(self) -> str:
        """Of the candidate; empty if the recipe made none."""
        return self.outcome.candidate.digest if self.outcome.candidate else ""

    @property
    def threads(self) -> int:
        """The thread count that stands for the run."""
        return first_threads(self.run)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of one side, ready to print.

    Attributes:
        note: interval and verdict, or the reason why there is no number.
        apart: what it does not share with the first side: "other machine".
        best: what it is beyond all intervals: "fastest"; empty where nothing is shown.
    """

    value: str
    note: str = ""
    apart: str = ""
    best: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of all sides.

    Attributes:
        is_fact: whether it is a condition, which was not measured.
    """

    name: str
    cells: tuple[Cell, ...]
    is_fact: bool = False


def side_by_side(sides: Sequence[Side]) -> list[Row]:
    """Recipe, accuracy, latency, size and conditions; a line that no side fills is left out."""
    backends = list(dict.fromkeys(b for side in sides for b in side.run.spec.backends))
    rows = [Row("Recipe", tuple(Cell(" + ".join(steps_in_words(s.outcome.recipe))) for s in sides))]
    standing = [Standing(side.run) for side in sides]
    for metric in ordered():
        rows += [_accuracy(sides, standing, metric, backend) for backend in backends]
    for metric in TIMED:
        rows += [_time(sides, standing, metric, backend) for backend in backends]
    rows += [_size(sides, standing, metric) for metric in SIZES]
    rows += _conditions(sides, backends)
    return [row for row in rows if any(cell.value or cell.note for cell in row.cells)]


def obstacles(sides: Sequence[Side]) -> list[str]:
    """Why some numbers cannot be weighed against each other; empty if all can."""
    facts: tuple[tuple[str, Callable[[Side], object]], ...] = (
        ("They began from different models.", lambda s: s.run.spec.model),
        (
            "They were measured on different machines: compare no latency.",
            lambda s: s.run.host.device if s.run.host else None,
        ),
        (
            "They were measured with different thread counts: compare no latency.",
            lambda s: s.threads,
        ),
        (
            "They were measured with inputs of different shapes: compare no latency.",
            lambda s: run_input(s.run) or None,
        ),
        (
            "They were measured on different images: compare no accuracy.",
            lambda s: s.run.spec.evaluation,
        ),
    )
    found = []
    for words, fact in facts:
        known = [value for value in map(fact, sides) if value is not None]
        if any(value != known[0] for value in known):
            found.append(words)
    return found


def _accuracy(
    sides: Sequence[Side], standing: Sequence[Standing], metric: str, backend: str
) -> Row:
    found = [rows.row(s.digest, metric, backend) for s, rows in zip(sides, standing, strict=True)]
    changes = [
        rows.row(s.digest, metric + DELTA, backend) for s, rows in zip(sides, standing, strict=True)
    ]
    best = _best(found, "most accurate", highest=True) if not catalogue()[metric].relative else {}
    cells = [
        _cell(row, delta_text(change), _apart_images(found[0], row), best.get(at, ""))
        for at, (row, change) in enumerate(zip(found, changes, strict=True))
    ]
    return Row(f"{quantities.title(metric)}, {palette.label(backend)}", tuple(cells))


def _time(sides: Sequence[Side], standing: Sequence[Standing], metric: str, backend: str) -> Row:
    def row_of(at: int, name: str) -> Measurement | None:
        threads = sides[at].threads if name != "peak_memory_bytes" else None
        return standing[at].row(sides[at].digest, name, backend, threads)

    found = [row_of(at, metric) for at in range(len(sides))]
    ratios = [row_of(at, "latency_ratio") for at in range(len(sides))]
    is_latency = metric == "latency_ms"
    alike = len({side.run.spec.model for side in sides}) == 1
    weighed = [_to_weigh(*one) for one in zip(sides, found, ratios, strict=True)]
    best = _best(weighed, "fastest") if is_latency and alike and _together(found) else {}
    cells = [
        _cell(
            row,
            _verdict(ratio) if is_latency else "",
            _apart_times(found[0], row),
            best.get(at, ""),
        )
        for at, (row, ratio) in enumerate(zip(found, ratios, strict=True))
    ]
    name = quantities.name(metric)
    return Row(f"{name[:1].upper()}{name[1:]}, {palette.label(backend)}", tuple(cells))


def _to_weigh(
    side: Side, latency: Measurement | None, ratio: Measurement | None
) -> Measurement | None:
    """The ratio by which a side is weighed: the original is timed against itself by nobody."""
    if latency is not None and side.digest == side.run.spec.model:
        return replace(latency, metric="latency_ratio", value=1.0, low=1.0, high=1.0)
    return ratio


def _verdict(ratio: Measurement | None) -> str:
    """The verdict with its interval: "1.9× faster (×0.51 … ×0.54 of the time)"."""
    words = ratio_text(ratio)
    span = quantities.interval("latency_ratio", ratio.low, ratio.high) if ratio else ""
    return f"{words} ({span} of the original's time)" if words and span else words


def _size(sides: Sequence[Side], standing: Sequence[Standing], metric: str) -> Row:
    name = quantities.name(metric)
    cells = []
    for side, rows in zip(sides, standing, strict=True):
        value = rows.value(side.digest, metric)
        base = rows.value(side.run.spec.model, metric)
        change = text.percent_change(base, value) if base and value is not None else ""
        note = "" if not change or value == base else f"{change} against the original"
        cells.append(Cell(quantities.reading(metric, value), note))
    return Row(f"{name[:1].upper()}{name[1:]}", tuple(cells))


def _conditions(sides: Sequence[Side], backends: Sequence[str]) -> list[Row]:
    facts: tuple[tuple[str, Callable[[Side], str]], ...] = (
        ("Model", lambda s: s.run.model.name),
        ("Machine", lambda s: f"{s.run.host.cpu}, {s.run.host.cores} cores" if s.run.host else ""),
        ("Versions", lambda s: _versions(s, backends)),
        ("Threads", lambda s: threads_text(s.threads)),
        ("Input, batch first", lambda s: run_input(s.run).removeprefix("input ")),
        ("Images", _images),
        ("Measured (UTC)", lambda s: s.run.created[:16].replace("T", " ")),
    )
    made = []
    for name, fact in facts:
        values = [fact(side) for side in sides]
        differ = len(set(values)) > 1 and name != "Measured (UTC)"
        marks = ["differs" if differ and value != values[0] else "" for value in values]
        cells = tuple(Cell(v, apart=m) for v, m in zip(values, marks, strict=True))
        made.append(Row(name, cells, is_fact=True))
    return made


def _versions(side: Side, backends: Sequence[str]) -> str:
    host = side.run.host
    known = [backend for backend in backends if backend in side.run.spec.backends]
    if host is None:
        return ""
    return ", ".join(f"{palette.label(b)} {host.target(b).version}".strip() for b in known)


def _images(side: Side) -> str:
    counts = {row.condition.get("images", "") for row in side.run.measurements} - {""}
    if not side.run.spec.evaluation:
        return "none"
    most = max((int(count) for count in counts if count.isdigit()), default=0)
    return f"{most:,} of {side.run.spec.evaluation[:8]}" if most else "not scored"


def _cell(row: Measurement | None, more: str, apart: str, best: str) -> Cell:
    if row is None:
        return Cell("")
    if row.status not in MEASURED:
        return Cell("", f"{row.status.value}: {row.reason}")
    span = quantities.interval(row.metric, row.low, row.high)
    note = " · ".join(filter(None, (f"95 %: {span}" if span else "", more)))
    return Cell(quantities.reading(row.metric, row.value), note, apart, best)


def _apart_images(first: Measurement | None, row: Measurement | None) -> str:
    if first is None or row is None:
        return ""
    differ = any(first.condition.get(k) != row.condition.get(k) for k in ("data", "images"))
    return "other images" if differ else ""


def _apart_times(first: Measurement | None, row: Measurement | None) -> str:
    if first is None or row is None:
        return ""
    if input_words(first) != input_words(row):
        return "other input"
    if first.condition.get("threads") != row.condition.get("threads"):
        return "other thread count"
    if first.target is None or row.target is None or first.target.compares(row.target):
        return ""
    return "other machine" if first.target.device != row.target.device else "other version"


def _together(found: Sequence[Measurement | None]) -> bool:
    """Whether all of several times come from one target, input and thread count."""
    known = [row for row in found if measured(row) is not None]
    return len(known) > 1 and not any(_apart_times(known[0], row) for row in known)


def _best(found: Sequence[Measurement | None], word: str, highest: bool = False) -> dict[int, str]:
    """The one whose interval lies beyond all others', where all were measured alike."""
    known = [(at, row) for at, row in enumerate(found) if row and measured(row) is not None]
    if len(known) < 2 or any(_apart_images(known[0][1], row) for _, row in known):
        return {}
    sign = -1 if highest else 1
    spans = {at: sorted((sign * _low(row), sign * _high(row))) for at, row in known}
    first, *others = sorted(spans, key=lambda at: spans[at])
    return {first: word} if all(spans[first][1] < spans[at][0] for at in others) else {}


def _low(row: Measurement) -> float:
    return row.low if row.low is not None else row.value or 0.0


def _high(row: Measurement) -> float:
    return row.high if row.high is not None else row.value or 0.0
