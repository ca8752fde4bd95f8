"""First sight: what Lathe is for, a finished result, and the place to drop a model.

It is shown until a model was chosen: who comes back finds the forms as they were left. The result
is what this machine measured of the sample by itself; until that is there, the record that ships
with Lathe, under the name of the machine that it was measured on.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.charts.conditions import threads_text
from core.charts.summary import OPEN, Delta, deltas, file_sizes, headline
from core.records import Outcome, Run, State
from core.records.standing import Standing, first_threads, measured
from core.search.choose import best
from core.workspace import Workspace
from pages.optimize.state import state
from pages.shared import formatting, model_picker, progress, session
from pages.shared.formatting import escape
from pages.shared.state import forms, uploads, visit

POLL_S = 2.0
PURPOSE = "Cut the prediction time of your vision network, and see what every choice costs."
PROMISE = (
    "Everything is measured, on the very file that you download, with an interval and a verdict "
    "in words. It works offline: nothing leaves your machine."
)
STEPS = (
    ("Drop a model", "An ONNX file. Its layers and its speed are on the screen at once."),
    ("Set a goal, or switches", "The fastest within 1 point; or fold, prune, quantize by hand."),
    ("Download what was measured", "The very file whose numbers you saw, and a picture to share."),
)
MARK = Path(__file__).parents[2] / "static" / "lathe.svg"


@dataclass(frozen=True, slots=True)
class Pair:
    """A quantity before and after, with the lengths of its bars.

    Attributes:
        share: what is left of the original, 1 being all of it.
    """

    delta: Delta
    share: float


def is_due(run: Run | None) -> bool:
    """Whether nothing was opened yet: no run, no model, no upload on its way."""
    return run is None and not forms.model.get() and not uploads.pending("model").is_set()


def show(workspace: Workspace, owner: str) -> None:
    """The name, the drop zone, three steps, and the finished result."""
    st.html(
        f'<header class="lathe-hero"><img class="lathe-mark" alt="" src="{_mark()}">'
        "<div><h1>Lathe</h1>"
        f'<p class="lathe-purpose">{PURPOSE}</p><p class="lathe-promise">{PROMISE}</p></div>'
        "</header>"
    )
    if notice := visit.notice.take():
        st.error(formatting.plain(notice))
    with st.container(key="drop"):
        label = "Drop your model here: an .onnx file, or a .zip with its external data"
        model_picker.upload(workspace, owner, "model", label)
        model_picker.refusal("model")
        st.button(
            "No model at hand? Open the sample",
            key="sample",
            on_click=_open_sample,
            args=(workspace,),
            icon=":material/arrow_forward:",
        )
    st.html(_steps())
    workspace.models.expect_one()
    under_way = workspace.runs.measure_sample()
    st.fragment(_result, run_every=POLL_S if under_way else None)(workspace, under_way)


@functools.cache
def _mark() -> str:
    """The mark as an address that asks nobody for it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(MARK.read_bytes()).decode()}"


def _open_sample(workspace: Workspace) -> None:
    found = {sample.name: sample.digest for sample in workspace.models.samples()}
    opened = found.get(model_picker.OPENING_SAMPLE, next(iter(found.values()), ""))
    forms.model.set(opened)
    state.arrived.set(opened)


def _steps() -> str:
    return (
        '<ol class="lathe-steps">'
        + "".join(
            f'<li><span aria-hidden="true">{place}</span><div><b>{name}</b><p>{text}</p></div></li>'
            for place, (name, text) in enumerate(STEPS, 1)
        )
        + "</ol>"
    )


@session.spoken()
def _result(workspace: Workspace, was_under_way: bool) -> None:
    """The finished result; while this machine makes its own, how far that is."""
    own = workspace.runs.sample()
    if own is not None and own.progress.state is State.DONE and best(own) is not None:
        if was_under_way:
            st.rerun()
        _draw(own, "measured on this machine")
        if st.button("See every number of this run", key="own"):
            visit.run.link(own.id)
            st.rerun()  # of the whole page, not of this part of it
        return
    shipped = workspace.runs.shipped_sample()
    machine = shipped.host.cpu if shipped.host else "another machine"
    _draw(shipped, f"measured elsewhere: {machine}")
    words = ""
    if own is not None and own.progress.state is State.RUNNING:
        words = f"This machine measures the same now: {progress.now(own)}"
    elif workspace.runs.measure_sample():  # it goes on once it had to step aside
        words = "This machine measures the same as soon as nothing else is measured."
    st.caption(words or "\N{NO-BREAK SPACE}")


def _draw(run: Run, where: str) -> None:
    outcome = best(run)
    if outcome is None or outcome.candidate is None:
        return
    tiles = "".join(_tile(pair) for pair in pairs(run, outcome))
    st.html(
        '<section class="lathe-proof" aria-label="A finished result">'
        f'<p class="lathe-kicker">A finished result: sample {escape(run.model.name)}, '
        f"{escape(outcome.recipe.name)} · <b>{escape(where)}</b></p>"
        f'<p class="lathe-answer">{escape(headline(run, outcome.candidate.digest))}</p>'
        f'<dl class="lathe-pairs">{tiles}</dl>'
        f'<p class="lathe-caption">{escape(conditions(run))}</p></section>'
    )


def pairs(run: Run, outcome: Outcome) -> list[Pair]:
    """Latency, accuracy and size of the candidate beside the original's."""
    assert outcome.candidate is not None  # noqa: S101 - `_draw` has asked
    digest, rows = outcome.candidate.digest, Standing(run)
    accuracy, latency, size = deltas(run, digest)
    ratio = measured(rows.row(digest, "latency_ratio", run.spec.backends[0], first_threads(run)))
    before, after = file_sizes(run, outcome)
    kept = [
        measured(rows.row(model, accuracy.metric, run.spec.backends[0]))
        for model in (run.spec.model, digest)
    ]
    return [
        Pair(latency, ratio or 1.0),
        Pair(accuracy, kept[1] / kept[0] if kept[0] and kept[1] else 1.0),
        Pair(size, after / before if before and after else 1.0),
    ]


def _tile(pair: Pair) -> str:
    """One quantity: two bars with their numbers, and the difference in words."""
    delta, longest = pair.delta, max(pair.share, 1.0)
    bars = "".join(
        f'<dd class="lathe-bar"><i class="{kind}" style="width:{62 * length / longest:.1f}%"></i>'
        f"<span>{escape(value)}</span></dd>"
        for kind, length, value in (
            ("before", 1.0, delta.before),
            ("after", pair.share, delta.after),
        )
    )
    arrow = {"good": "✓ ", "bad": "✕ "}.get(delta.tone, "")
    joint = ", " if delta.verdict == OPEN else " "
    words = f"{delta.change}{joint}{delta.verdict}"
    span = f" <small>({escape(delta.interval.replace('×', ''))})</small>" if delta.interval else ""
    return (
        f"<div><dt>{escape(delta.label)}</dt>{bars}"
        f'<dd class="lathe-delta {delta.tone}">{arrow}{escape(words)}{span}</dd></div>'
    )


def conditions(run: Run) -> str:
    """What the numbers hold for: images, threads, runtime, machine, date."""
    backend = run.spec.backends[0]
    images = {row.condition.get("images", "") for row in run.measurements} - {""}
    parts = [f"{int(count):,} images" for count in images if count.isdigit()][:1]
    parts.append(threads_text(first_threads(run)))
    if run.host is not None:
        parts += [f"{backend} {run.host.versions.get(backend, '')}".strip()]
        parts += [run.host.cpu, f"{run.host.cores} cores"]
    parts.append(run.created[:10])
    return f"{' · '.join(parts)} · in brackets: 95 % interval"
