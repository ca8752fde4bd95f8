"""Two cards beside each other: what differs of question, device and versions, and every number.

Two results of different runs are not paired. A difference is shown only where their 95 % intervals
do not meet, which is stricter than a test of the difference; times of two machines or versions say
so, and what was fed with other inputs or scored on other images is not compared at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.charts import palette, quantities, text
from core.charts.conditions import input_words, threads_text
from core.charts.latency import verdict_words
from core.charts.recipe_words import steps_in_words
from core.measure import METRICS
from core.records import MEASURED, CardFile, Measurement
from core.records.standing import measured

TIMES = ("latency_ms", "load_ms", "first_ms")
OF_FILES = ("size_bytes", "zipped_bytes", "parameters", "macs", "nodes")
Key = tuple[str, str, str, str]  # of what, metric, backend, threads


@dataclass(frozen=True, slots=True)
class Number:
    """One quantity on both cards, ready to print.

    Attributes:
        of: "original" or "recipe".
        first, second: with unit and interval; the reason where there is none.
        change: from the first to the second; empty where nothing was compared.
        shown: "shown", "not shown", "equal", or why nothing can be said.
        apart: under which conditions they differ: "other machine"; empty for none.
    """

    of: str
    quantity: str
    backend: str
    threads: str
    first: str
    second: str
    change: str
    shown: str
    apart: str


def facts(first: CardFile, second: CardFile) -> tuple[list[tuple[str, str, str]], list[str]]:
    """What differs of all but the numbers, as (name, first, second), and what is the same."""
    a, b = _facts(first), _facts(second)
    names = list(dict.fromkeys([*a, *b]))
    differing = [(n, a.get(n, ""), b.get(n, "")) for n in names if a.get(n) != b.get(n)]
    return differing, [name for name in names if a.get(name) == b.get(name)]


def _facts(card: CardFile) -> dict[str, str]:
    spec, host = card.spec, card.host
    found = {
        "Model": card.model,
        "Model SHA-256": card.original,
        "Recipe": " + ".join(steps_in_words(card.recipe)),
        "File SHA-256": card.candidate,
        "Calibration images": spec.calibration or "none",
        "Evaluation images": spec.evaluation or "none",
        "Images at most": f"{spec.images:,}" if spec.images else "all",
        "Input sizes": ", ".join(f"{k} {v}" for k, v in sorted(spec.dims.items())) or "fixed",
        "Seconds for a comparison": f"{spec.latency_budget_s:g}",
    }
    if host is None:
        return {**found, "Processor": "unknown"}
    found |= {
        "Processor": f"{host.cpu}, {host.cores} cores",
        "Instruction sets": ", ".join(host.isa_flags) or "none told",
        "System": host.os,
    }
    return found | {f"Version of {name}": value for name, value in host.versions.items()}


def numbers(first: CardFile, second: CardFile) -> list[Number]:
    """Every quantity that one of the cards has: of the recipe first, then of the original."""
    a, b = dict(_keyed(first)), dict(_keyed(second))
    order = {name: at for at, name in enumerate(METRICS)}
    keys = sorted(
        {**a, **b}, key=lambda key: (key[0] == "original", order.get(key[1], 99), key[1:])
    )
    return [_number(key, a.get(key), b.get(key)) for key in keys]


def _keyed(card: CardFile) -> Iterator[tuple[Key, Measurement]]:
    for row in card.rows:
        of = "recipe" if row.candidate == card.candidate else "original"
        yield (of, row.metric, row.backend, row.condition.get("threads", "")), row


def _number(key: Key, first: Measurement | None, second: Measurement | None) -> Number:
    of, metric, backend, threads = key
    change, shown, apart = "", "", ""
    a, b = measured(first), measured(second)
    if first is None or second is None:
        shown = f"only in {'A' if second is None else 'B'}"
    elif a is None or b is None:
        shown = "no number" if a is None and b is None else f"none in {'A' if a is None else 'B'}"
    else:
        apart = _apart(metric, first, second)
        if apart in ("other input", "other images"):
            shown = "not comparable"
        else:
            change, shown = _change(metric, a, b), _shown(first, second)
    return Number(
        of=of,
        quantity=quantities.name(metric),
        backend=palette.label(backend) if backend else "",
        threads=threads_text(int(threads)) if threads.isdecimal() else "",
        first=_reading(first),
        second=_reading(second),
        change=change,
        shown=shown,
        apart=apart,
    )


def _reading(row: Measurement | None) -> str:
    if row is None:
        return ""
    if row.status not in MEASURED:
        return f"{row.status.value}: {row.reason}"
    span = quantities.interval(row.metric, row.low, row.high)
    reading = quantities.reading(row.metric, row.value)
    verdict = verdict_words(str(row.detail.get("verdict", "")))
    return " ".join(filter(None, (reading, f"({span})" if span else "", verdict)))


def _apart(metric: str, first: Measurement, second: Measurement) -> str:
    """What the two numbers do not share, the gravest first; empty where they share it all."""
    if metric in OF_FILES:
        return ""
    a, b = (input_words(row) for row in (first, second))
    if a and b and a != b:
        return "other input"
    if any(first.condition.get(k) != second.condition.get(k) for k in ("data", "images")):
        return "other images"
    if first.target is None or second.target is None or first.target.compares(second.target):
        return ""
    return "other machine" if first.target.device != second.target.device else "other version"


def _change(metric: str, a: float, b: float) -> str:
    known = METRICS.get(metric)
    if a == b:
        return ""
    if known is not None and known.unit in ("%", "dB", "points"):
        return f"{text.signed(b - a)} {'points' if known.unit == '%' else known.unit}"
    return text.percent_change(a, b)


def _shown(first: Measurement, second: Measurement) -> str:
    """Whether the intervals leave room for the two being the same."""
    (a, b), (c, d) = _span(first), _span(second)
    if (a, b) == (c, d):
        return "equal"
    return "shown" if b < c or d < a else "not shown"


def _span(row: Measurement) -> tuple[float, float]:
    value = row.value or 0.0
    return (value if row.low is None else row.low, value if row.high is None else row.high)
