"""The places on Optimize that both a moved slider and an arriving number repaint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import (
    accuracy_figure,
    latency_figure,
    layers_figure,
    palette,
    preview_figure,
    size_figure,
)
from core.charts.summary import NO_DELTA, latency_delta
from core.errors import CoreError
from core.records import OPEN_SHAPE, ModelSummary, Outcome, Preview, Recipe, Run
from core.search import lookup
from core.search.choose import best
from core.search.space import neighbours
from core.workspace import Workspace
from core.workspace.forecasts import cutting
from pages.optimize import forecast, goal, headline, next_steps, verdict_text
from pages.optimize.state import state
from pages.shared import advice, formatting, progress

CHART_HEIGHT = 340
CONFIG = {"displaylogo": False, "displayModeBar": False}


@dataclass(frozen=True, slots=True)
class Board:
    """Slots of the right side, laid out before anything fills them, so that nothing moves."""

    workspace: Workspace
    model: ModelSummary
    run: Run | None
    top1: float | None
    measure: DeltaGenerator
    goal: DeltaGenerator
    notice: DeltaGenerator
    progress: DeltaGenerator
    sentence: DeltaGenerator
    switch: DeltaGenerator
    tiles: DeltaGenerator
    draft: DeltaGenerator
    next_steps: DeltaGenerator
    latency: DeltaGenerator
    accuracy: DeltaGenerator
    size: DeltaGenerator

    @staticmethod
    def lay_out(workspace: Workspace, model: ModelSummary, run: Run | None) -> Board:
        """Create the slots, top to bottom."""
        title, measure = st.columns([5, 1], vertical_alignment="center")
        title.html(f'<h1 class="lathe-title">{formatting.escape(model.name)}</h1>{facts(model)}')
        wanted = st.container(key="goal_bar", gap="xsmall")
        notice, bar = st.empty(), st.container(key="progress")
        sentence = st.container(key="answer").empty()
        with st.container(horizontal=True, key="result"):
            told = st.container(key="told")
            beside = st.container(key="next", gap=None)
        names = ("latency", "accuracy", "size")
        slots = {
            name: column.container(key=f"chart_{name}").empty()
            for name, column in zip(names, st.columns(3), strict=True)
        }
        known = [s.top1 for s in workspace.models.samples() if s.digest == model.digest]
        return Board(
            workspace=workspace,
            model=model,
            run=run,
            top1=known[0] if known else None,
            measure=measure,
            goal=wanted,
            notice=notice,
            progress=bar,
            sentence=sentence,
            switch=told.container(key="switch"),
            tiles=told.container(key="tiles").empty(),
            draft=beside.container(key="next_draft").empty(),
            next_steps=beside.container(key="next_steps", gap=None),
            **slots,
        )

    def paint_draft(self, recipe: Recipe) -> None:
        """What a moved switch or slider leads to: measured if the run is about it, else exact."""
        if self.run is not None and self.is_about(self.run, recipe):
            if not progress.is_live(self.run):
                self.paint_answer(recipe, self.run)
                self.see_to_buttons(recipe, self.run)
            return
        preview, refusal = self.preview(recipe)
        expected = forecast.of(self.workspace, self.model, recipe, preview)
        text = refusal or verdict_text.draft_sentence(self.model, preview, len(recipe.steps))
        text = f"{text} {expected.warning}".strip()
        tiles = headline.draft_tiles(self.model, preview, self.top1, expected)
        if self.run is not None and self.run.model.digest == self.model.digest:
            tiles = beside_original(tiles, self.run, state.backend.get())
        note = (
            "Latency and accuracy below belong to the recipe that was measured." if self.run else ""
        )
        self.sentence.html(headline.sentence_markup(text))
        self.tiles.html(headline.markup(tiles, (note,), recipe.name))
        if self.run is not None:
            self.draft.html(next_steps.draft(has_run=True))
        if preview is not None:
            figure = preview_figure(self.model, preview)
            self.chart(self.size, figure, "size", "Size before and after, not measured")
        position = cutting(preview)
        if expected.waiting and position is not None:
            look = st.fragment(forecast.wait, run_every=forecast.POLL_S)
            look(self.workspace, self.model.digest, recipe, position)

    def paint_run(self, recipe: Recipe, run: Run) -> None:
        """What a run has measured so far."""
        if progress.is_live(run) and self.is_about(run, recipe):
            self.paint_answer(recipe, run)
        digest = shown(run, self.outcome(run, recipe))
        self.chart(self.latency, latency_figure(run, digest), "latency", "Latency per backend")
        self.chart(self.accuracy, accuracy_figure(run, digest), "accuracy", "Accuracy per backend")

    def paint_answer(self, recipe: Recipe, run: Run) -> None:
        """Sentence, tiles and size of a measured recipe."""
        outcome, backend = self.outcome(run, recipe), state.backend.get()
        self.sentence.html(headline.sentence_markup(verdict_text.sentence(run, outcome, backend)))
        known = self.workspace.insights.hindsights(run)
        tiles = headline.run_tiles(run, outcome, backend, known)
        self.tiles.html(
            headline.markup(tiles, verdict_text.notes(run, outcome, backend), recipe.name)
        )
        self.chart(
            self.size, size_figure(run, shown(run, outcome)), "size", "Size before and after"
        )

    def answer(self, recipe: Recipe, run: Run) -> None:
        """What only the whole script can draw: the choice of the backend, and the next steps."""
        about = self.is_about(run, recipe)
        outcome = self.outcome(run, recipe) if about else best(run)
        with self.switch:
            choose_backend(run)
        with self.next_steps:
            next_steps.show(run, outcome, state.backend.get(), self.workspace)

    def see_to_buttons(self, recipe: Recipe, run: Run) -> None:
        """Run the whole script where the switches came to stand at another recipe of the run."""
        now = next_steps.about(run, self.outcome(run, recipe), state.backend.get())
        if state.next_for.is_set() and state.next_for.get() != now:
            st.rerun()

    def introduce(self, images: int | None) -> None:
        """Before anything is measured: where the work is, and what to do next.

        Args:
            images: that passes can use; None where that is not known.
        """
        figure = layers_figure(self.model)
        self.chart(self.latency, figure, "layers", "MACs of each layer, from input to output")
        self.draft.html(next_steps.introduction(self.model, images))
        with self.accuracy.container():
            st.html('<h2 class="lathe-next-title">Advice</h2>')
            advice.show(self.model)
        self.progress.caption(
            "Dashed tiles are not measured: their numbers are counted in the file."
        )

    def chart(self, slot: DeltaGenerator, figure: Any, name: str, alt: str) -> None:
        """Draw a figure into its slot at the one height that all have."""
        slot.plotly_chart(figure, key=f"figure_{name}", height=CHART_HEIGHT, config=CONFIG, alt=alt)

    def preview(self, recipe: Recipe) -> tuple[Preview | None, str]:
        """What is known without running, or why nothing is."""
        try:
            preview = self.workspace.insights.preview(self.model.digest, recipe)
        except CoreError as error:
            return None, error.message
        if len(verdict_text.idle(preview)) == len(preview.report):
            # Nothing changes: it is the user's own file that stays, not our copy of it.
            preview = replace(preview, size_bytes=self.model.size_bytes)
        return preview, ""

    def warm(self, recipe: Recipe) -> None:
        """Have the answer for every stop of every visible slider ready before it is asked for."""
        self.workspace.insights.preview_ahead(self.model.digest, tuple(neighbours(recipe)))

    def is_about(self, run: Run, recipe: Recipe) -> bool:
        """Whether the run measures this recipe on the model shown."""
        return goal.follows(run, recipe) or lookup.asks(run, self.model.digest, recipe)

    def outcome(self, run: Run, recipe: Recipe) -> Outcome | None:
        """What became of the recipe in the run, or what its search found, as far as it is known."""
        if goal.follows(run, recipe):
            return goal.best_so_far(run)
        return lookup.find(run, self.model.digest, recipe)


def shown(run: Run, outcome: Outcome | None) -> str | None:
    """Whose charts are drawn: the recipe that the form stands at, else the run's best."""
    outcome = outcome or best(run)
    return outcome.candidate.digest if outcome is not None and outcome.candidate else None


def choose_backend(run: Run) -> None:
    """Of which backend sentence and tiles tell: the goal's first, else the first with a number."""
    offered = measured_on(run)
    first = run.spec.goal.backend if run.spec.goal is not None else offered[0]
    if state.backend.get() not in offered:
        state.backend.set(first if first in offered else offered[0])
    st.segmented_control(
        "Backend of the answer",
        offered,
        required=True,
        format_func=palette.label,
        key=state.backend.key,
        label_visibility="collapsed",
        persist_state="session",
    )


def measured_on(run: Run) -> list[str]:
    """The backends with a number; all of a run that goes on or has none."""
    numbers = {row.backend for row in run.measurements if row.value is not None}
    found = [name for name in run.spec.backends if name in numbers]
    return list(run.spec.backends) if progress.is_live(run) or not found else found


def facts(model: ModelSummary) -> str:
    """One line: what the file is."""
    words = [
        formatting.size(model.size_bytes),
        f"{formatting.count(model.parameters)} parameters",
        f"MACs {OPEN_SHAPE}" if model.macs is None else f"{formatting.count(model.macs)} MACs",
        f"{model.batch_norms} batch norm{'s' * (model.batch_norms != 1)}",
        f"opset {model.opset}",
    ]
    if model.quantized:
        words.append("already quantized")
    if model.inputs:
        words.append("input " + " × ".join(str(side) for side in model.inputs[0].shape))
    return f'<p class="lathe-caption">{formatting.escape(" · ".join(words))}</p>'


def beside_original(tiles: list[headline.Tile], run: Run, backend: str) -> list[headline.Tile]:
    """Tiles of a draft: where the candidate's time is not known yet, the original's stands."""
    known = latency_delta(run, run.model.digest, backend)
    if known.after == NO_DELTA:
        return tiles
    where = known.label.partition(", ")[2]
    measured = headline.Tile("Latency", known.after, note=f"the original, measured; {where}")
    return [measured if tile.label == "Latency" else tile for tile in tiles]
