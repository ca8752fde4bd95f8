"""Answers of runs: what the list says of each, kept or read now, a part at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from core.charts.run_line import answer
from core.errors import CoreError
from core.records import LIVE, Answer, RunLine
from core.workspace import Workspace
from pages.runs.state import state
from pages.shared import session

LOOK_S, PAUSE_S = 0.3, 0.1  # numbers are read for so long at a time, and so long after that again


def known(workspace: Workspace, lines: Mapping[str, RunLine]) -> dict[str, Answer]:
    """What is said of each run: as it was kept, or worded now from all of its rows.

    The newest first, those that go on last since theirs change, and no longer than a page may take:
    `read_on` goes on with those left out.
    """
    until, found = time.monotonic() + LOOK_S, dict[str, Answer]()
    before, now = state.worded.get(), dict(state.worded.get())
    for line in sorted(lines.values(), key=lambda one: one.progress.state in LIVE):
        progress, said = before.get(line.id, (None, None))
        if line.answer is not None:
            found[line.id] = line.answer
        elif said is not None and progress == line.progress:
            found[line.id] = said  # it was not kept: the disk is full
        elif time.monotonic() < until:
            found[line.id] = worded(workspace, line)
            now[line.id] = line.progress, found[line.id]
    state.worded.settle(now)
    return found


def worded(workspace: Workspace, line: RunLine) -> Answer:
    """What is said of a run, from all of its rows; kept, unless it goes on."""
    try:
        run = workspace.runs.get(line.id)
    except CoreError as error:  # deleted in another tab, or not to be read
        return Answer(error.message)
    said = answer(run, workspace.insights.hindsights(run))
    if run.progress.state not in LIVE:
        workspace.runs.keep_answer(line, said)
    return said


@session.spoken()
def read_on(workspace: Workspace, owner: str) -> None:
    """Word more of the runs whose numbers are not in the list yet; then the list is drawn anew."""
    lines = {line.id: line for line in workspace.runs.lines(owner)}
    missing = len(lines) - len(known(workspace, lines))
    if not missing:
        st.rerun()
    st.caption(f"Reading the numbers of {missing:,} older runs …")


def forecasts(answers: Mapping[str, Answer]) -> None:
    """How often the forecast of a cut was right, over all of this visitor's runs."""
    if told := sum(answer.forecasts for answer in answers.values()):
        held = sum(answer.held for answer in answers.values())
        st.caption(
            f"Forecasts so far: in {held} of {told} pruned recipes the share of same answers "
            "that was counted lay in the interval that had been forecast."
        )
