"""The list of runs: what each found in its columns, and the filters that shorten it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import recipes
from core.charts import palette
from core.records import Answer, Bookmark, RunLine, State
from pages.runs.state import state
from pages.shared import downloads, row_cards
from pages.shared.field import Field, rows, select

STATE_WORDS = {
    State.QUEUED: "○ waiting",
    State.RUNNING: "▶ running",
    State.DONE: "✓ done",
    State.CANCELLED: "■ cancelled",
    State.INTERRUPTED: "■ interrupted",
    State.FAILED: "✕ failed",
}
Lines = Mapping[str, RunLine]
Marks = Mapping[tuple[str, str], Bookmark]
COLUMNS = {
    "★": st.column_config.TextColumn("★", width=40, help="holds a pinned candidate"),
    "measured": st.column_config.DatetimeColumn(
        "measured (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150
    ),
    "model": st.column_config.TextColumn("model", width=130),
    "recipe": st.column_config.TextColumn("recipe", width=250),
    "state": st.column_config.TextColumn("state", width=95),
    "speed": st.column_config.TextColumn("speed", width=190),
    "accuracy": st.column_config.TextColumn("accuracy", width=150),
    "images": st.column_config.NumberColumn("images", width=70, format="localized"),
    "machine": st.column_config.TextColumn("machine", width=180),
    "tags": st.column_config.ListColumn("tags", width="small"),
    "backends": st.column_config.TextColumn("backends", width="medium"),
    "answer": st.column_config.TextColumn("answer", width="large"),
}

ON_CARDS = ("state", "speed", "accuracy", "images", "machine", "backends", "tags", "measured")
NARROWED = "The filters above bring the others."


def filtered(runs: Lines, answers: Mapping[str, Answer], marks: Marks) -> Lines:
    """The filters, and the runs that they let through."""
    names = model_names(runs)
    tags, pinned = _by_run(marks)
    words, models, states, tagged, pin = st.columns([3, 2, 2, 2, 1.4], vertical_alignment="bottom")
    words.text_input("Search", key=state.search.key, placeholder="int8, 2026-11, openvino")
    _choice(models, "Model", dict.fromkeys(names.values()), state.models)
    _choice(states, "State", dict.fromkeys(STATE_WORDS[r.progress.state] for r in runs.values()),
            state.states)  # fmt: skip
    _choice(tagged, "Tags", sorted({tag for found in tags.values() for tag in found}), state.tags)
    pin.toggle("Pinned", key=state.pinned.key)

    def passes(run: RunLine) -> bool:
        answer = answers.get(run.id)
        said = [names[run.id], recipe_of(run), run.created, *run.spec.backends]
        said += [*tags.get(run.id, ()), *((answer.headline, answer.machine) if answer else ())]
        text = " ".join(said).lower()
        return (
            all(word in text for word in state.search.get().lower().split())
            and (not state.models.get() or names[run.id] in state.models.get())
            and (not state.states.get() or STATE_WORDS[run.progress.state] in state.states.get())
            and (not state.tags.get() or bool(set(state.tags.get()) & set(tags.get(run.id, ()))))
            and (not state.pinned.get() or run.id in pinned)
        )

    found = {key: run for key, run in runs.items() if passes(run)}
    if len(found) < len(runs):
        st.caption(f"{len(found):,} of {len(runs):,} runs match.")
    return found


def _choice(
    place: DeltaGenerator, label: str, options: Iterable[str], field: Field[Sequence[str]]
) -> None:
    """A filter by several values; those that are gone are let go."""
    known = list(options)
    field.settle([value for value in field.get() if value in known])
    place.multiselect(label, known, key=field.key, placeholder="any" if known else "none yet")


def _by_run(marks: Marks) -> tuple[dict[str, list[str]], set[str]]:
    """The tags of each run's candidates, and the runs of which one is pinned."""
    tags: dict[str, list[str]] = {}
    for (run, _), mark in marks.items():
        known = tags.setdefault(run, [])
        known += [tag for tag in mark.tags if tag not in known]
    return tags, {run for (run, _), mark in marks.items() if mark.pinned}


def table(runs: Lines, answers: Mapping[str, Answer], marks: Marks) -> None:
    """One line per run; a click chooses it."""
    names = model_names(runs)
    tags, pinned = _by_run(marks)
    unsaid = Answer("")  # its numbers are still being read
    frame = pd.DataFrame(
        [
            {
                "★": "★" if run.id in pinned else "",
                "measured": pd.Timestamp(run.created),
                "model": names[run.id],
                "recipe": recipe_of(run),
                "state": STATE_WORDS[run.progress.state],
                "speed": answers.get(run.id, unsaid).speed,
                "accuracy": answers.get(run.id, unsaid).accuracy,
                "images": answers.get(run.id, unsaid).images,
                "machine": answers.get(run.id, unsaid).machine,
                "tags": tags.get(run.id, []),
                "backends": ", ".join(map(palette.label, run.spec.backends)),
                "answer": answers.get(run.id, unsaid).headline,
            }
            for run in runs.values()
        ]
    )
    if list(runs) != state.order.get():
        state.order.set(list(runs))
        select(state.table, ())
    cards = [
        text | {row_cards.LINK: downloads.address(run)}
        for text, run in zip(row_cards.texts(frame, {"images": "%d"}), runs.values(), strict=True)
    ]
    row_cards.show("runs", cards, ("★", "model", "recipe"), ON_CARDS, NARROWED, unfolded=True)
    row_cards.pick(
        "runs",
        frame,
        COLUMNS,
        state.table,
        _take_click,
        "single-row",
        "Every run with its state, speed, accuracy, images and machine",
    )


def model_names(runs: Lines) -> dict[str, str]:
    """What each run's model is called; of several files of one name, with the digest's start."""
    files: dict[str, set[str]] = {}
    for run in runs.values():
        files.setdefault(run.model, set()).add(run.spec.model)
    return {
        key: run.model if len(files[run.model]) == 1 else f"{run.model} ({run.spec.model[:6]})"
        for key, run in runs.items()
    }


def name_of(run: RunLine) -> str:
    """What a run is called in a list of runs: model, recipe, time."""
    when = run.created[:19].replace("T", " ")
    return f"{run.model}: {recipe_of(run)} · {when}"


def recipe_of(run: RunLine) -> str:
    """The recipe that a run weighs, or how many."""
    asked = [recipe for recipe in run.spec.recipes if recipe.steps]
    if len(asked) > 1:
        return f"{len(asked)} recipes"
    return asked[0].name if asked else recipes.ORIGINAL


def _take_click() -> None:
    picked, order = rows(state.table), state.order.get()
    if picked and picked[0] < len(order):
        state.chosen.set(order[picked[0]])
