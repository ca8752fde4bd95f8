"""What the result card shows, as plain data: the browser draws it on a canvas of 1200 x 630."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.charts.accuracy import accuracy_panel
from core.charts.conditions import run_input
from core.charts.lanes import Panel, round_up
from core.charts.latency import latency_panel
from core.charts.size import size_panel
from core.charts.summary import deltas, headline
from core.records import Run
from core.records.standing import first_threads, outcome_of

MOST_LANES = 4


def card(run: Run, candidate: str) -> dict[str, Any]:
    """Title, answer, three deltas, three charts and the conditions, ready for JSON."""
    host = run.host
    versions = ", ".join(f"{k} {v}" for k, v in host.versions.items()) if host else ""
    machine = f"{host.cpu}, {host.cores} cores, {host.os}" if host else ""
    panels = (
        latency_panel(run, candidate, first_threads(run)),
        accuracy_panel(run, candidate),
        size_panel(run, candidate),
    )
    return {
        "title": _title(run, candidate),
        "answer": headline(run, candidate),
        "deltas": [dataclasses.asdict(delta) for delta in deltas(run, candidate)],
        "panels": [_panel(panel) for panel in panels],
        "machine": ", ".join(filter(None, (machine, run_input(run)))),
        "versions": versions,
        "digest": candidate,
        "date": run.created[:10],
    }


def _title(run: Run, candidate: str) -> str:
    """The run's, unless it holds several recipes: then the one on the card is named."""
    outcome = outcome_of(run, candidate)
    if len(run.spec.recipes) > 2 and outcome is not None:
        return f"{run.model.name}: {outcome.recipe.name}"
    return run.spec.title or run.model.name


def _panel(panel: Panel) -> dict[str, Any]:
    """A panel without its hover texts, and with no more lanes than the card has room for."""
    kept = list(panel.lanes)[:MOST_LANES]
    plain = dataclasses.asdict(dataclasses.replace(panel, lanes=kept))
    for lane in plain["lanes"]:
        for mark in lane["marks"]:
            del mark["hover"]
    plain["axis"] = panel.axis.partition(", ")[0]  # the input stands beside the number, and below
    plain["left_out"] = len(panel.lanes) - len(kept)
    if panel.kind == "bars" and kept:
        ends = [m.high or m.value for lane in kept for m in lane.marks if m.value is not None]
        plain["span"] = (0.0, round_up(1.3 * max(ends, default=0.77)))
    return plain
