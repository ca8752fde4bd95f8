"""Two results beside each other: any recipe of any run against any other.

Numbers of different machines are printed but never divided: only one device and one version
of the backend make them comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from core.charts import accuracy, lanes, latency, palette, quantities, text
from core.charts.conditions import run_input
from core.measure import METRICS
from core.metrics.base import ordered
from core.records import Better, Measurement, Outcome, Run
from core.records.standing import Standing, first_threads, measured
from core.tasks.base import primary_metric

EXACT = ("size_bytes", "zipped_bytes", "parameters", "macs", "nodes")
PER_BACKEND = ("latency_ms", *ordered(), "load_ms", "peak_memory_bytes")
TIMED = ("latency_ms", "load_ms", "first_ms")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two results."""

    run: Run
    outcome: Outcome

    @property
    def digest(self) -> str:
        """Of the candidate; empty if the recipe made none."""
        return self.outcome.candidate.digest if self.outcome.candidate else ""

    @property
    def name(self) -> str:
        """Of the recipe."""
        return self.outcome.recipe.name

    @property
    def threads(self) -> int:
        """The thread count that stands for the run."""
        return first_threads(self.run)

    def row(self, metric: str, backend: str = "") -> Measurement | None:
        """The standing row of the result."""
        threads = self.threads if metric in TIMED else None
        return Standing(self.run).row(self.digest, metric, backend, threads)


def obstacles(first: Side, second: Side) -> list[str]:
    """Why the numbers of two results cannot be weighed against each other; empty if they can."""
    found = []
    if not _one_machine(first.run, second.run):
        found.append("They were measured on different machines: compare no latency.")
    elif first.threads != second.threads:
        found.append("They were measured with different thread counts: compare no latency.")
    if len({run_input(side.run) for side in (first, second)} - {""}) > 1:
        found.append("They were measured with inputs of different shapes: compare no latency.")
    if first.run.spec.evaluation != second.run.spec.evaluation:
        found.append("They were measured on different images: compare no accuracy.")
    if first.run.spec.model != second.run.spec.model:
        found.append("They began from different models.")
    return found


def compare_rows(first: Side, second: Side) -> list[dict[str, Any]]:
    """A record per metric and backend with both numbers and, where it means something, the change.

    A latency of another session is not paired: its change has no interval and is no verdict.
    """
    records = []
    for metric in EXACT:
        records.append(_record(first, second, metric, ""))
    for backend in dict.fromkeys([*first.run.spec.backends, *second.run.spec.backends]):
        records += [_record(first, second, metric, backend) for metric in PER_BACKEND]
    return [record for record in records if record["A"] or record["B"]]


def compare_figures(first: Side, second: Side) -> tuple[go.Figure, go.Figure]:
    """Latency and accuracy per backend: A in grey, B in the backend's colour."""
    times = _lanes(first, second, "latency_ms", latency.mark)
    tops = [m.high or m.value or 0 for lane in times for m in lane.marks if m.value is not None]
    metric = primary_metric(Standing(second.run))
    shares = _lanes(first, second, metric, accuracy.mark)
    span, ticks = accuracy.axis_of(metric, shares)
    return (
        lanes.draw(
            lanes.Panel(
                "Latency per backend", times, subtitle="grey A, colour B",
                axis="median latency (ms)",
                span=(0.0, lanes.round_up(1.3 * max(tops, default=0.77))),
            )
        ),
        lanes.draw(
            lanes.Panel(
                "Accuracy per backend", shares, subtitle="grey A, colour B",
                axis=quantities.axis(metric),
                span=span, kind="dots", ticks=ticks,
            )
        ),
    )  # fmt: skip


def _lanes(
    first: Side,
    second: Side,
    metric: str,
    mark: Callable[[Run, Measurement | None, str, str], lanes.Mark],
) -> list[lanes.Lane]:
    backends = dict.fromkeys([*first.run.spec.backends, *second.run.spec.backends])
    return [
        lanes.Lane(
            palette.label(backend),
            [
                mark(side.run, side.row(metric, backend), color, f"{name} · {side.name}")
                for name, side, color in (
                    ("A", first, palette.BASELINE),
                    ("B", second, palette.color(backend)),
                )
            ],
        )
        for backend in backends
    ]  # fmt: skip


def _record(first: Side, second: Side, metric: str, backend: str) -> dict[str, Any]:
    a, b = (measured(side.row(metric, backend)) for side in (first, second))
    known = METRICS.get(metric)
    comparable = metric not in TIMED or _one_target(first, second, metric, backend)
    if known is not None and known.unit in ("%", "dB", "points"):
        change = text.signed(b - a) if a is not None and b is not None else ""
        change = f"{change} {'points' if known.unit == '%' else known.unit}" if change else ""
    else:
        change = text.percent_change(a, b) if a and b is not None else ""
    change = "equal" if a is not None and a == b else change
    return {
        "quantity": quantities.name(metric),
        "backend": palette.label(backend) if backend else "",
        "A": quantities.reading(metric, a),
        "B": quantities.reading(metric, b),
        "B against A": change if comparable else _apart(first.run, second.run),
        "better": _better(a, b, known.better if known else None) if comparable else "",
    }


def _one_machine(first: Run, second: Run) -> bool:
    """Whether both ran on the same device, whatever is installed there."""
    devices = [run.host.device if run.host else None for run in (first, second)]
    return devices[0] == devices[1]


def _one_target(first: Side, second: Side, metric: str, backend: str) -> bool:
    """Whether two times come from one device and one version of this backend."""
    rows = (first.row(metric, backend), second.row(metric, backend))
    targets = [row.target for row in rows if row is not None and row.target is not None]
    if len(targets) == 2:
        return targets[0].compares(targets[1])
    return _one_machine(first.run, second.run)


def _apart(first: Run, second: Run) -> str:
    """What keeps two times from being compared."""
    return "other version" if _one_machine(first, second) else "other machine"


def _better(a: float | None, b: float | None, better: Better | None) -> str:
    if a is None or b is None or a == b or better is None:
        return ""
    return "B" if (b < a) == (better is Better.LOWER) else "A"
