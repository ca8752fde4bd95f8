"""Where a run stands: what it does now, how long it will take, and how to stop or go on."""

from __future__ import annotations

import streamlit as st

from core.errors import CoreError
from core.records import LIVE, Run, State
from pages.shared import formatting, running, session
from pages.shared.state import visit


def is_live(run: Run) -> bool:
    """Whether numbers may still arrive."""
    return run.progress.state in LIVE


def show(run: Run) -> None:
    """One row of fixed height: the bar with its words, and the button that fits the state."""
    words, action = st.columns([5, 1], vertical_alignment="center")
    state = run.progress.state
    with words:
        if state in LIVE:
            done, total = run.progress.done, max(run.progress.total, 1)
            st.progress(min(done / total, 1.0), text=now(run))
        else:
            st.caption(_end(run))
    with action:
        if not run.owner:
            st.caption("Measured by Lathe itself.")
        elif run.owner != session.owner():
            st.caption("Started by another visitor: you can look at it.")
        elif state in LIVE:
            st.button(
                "Cancel", key="cancel", on_click=_ask, args=("cancel", run.id), width="stretch"
            )
        elif state in (State.INTERRUPTED, State.CANCELLED, State.FAILED):
            st.button(
                "Continue", key="resume", on_click=_ask, args=("resume", run.id), width="stretch"
            )


def now(run: Run) -> str:
    """What a run does, and how long it will take."""
    if run.progress.state is State.QUEUED:
        return f"Waiting for the machine: {_before(run)}. It begins by itself."
    text = formatting.plain(run.progress.current or "starting")
    if run.progress.eta_s is not None:
        text += f" · about {formatting.duration(run.progress.eta_s)} left"
    return text


def _before(run: Run) -> str:
    """Behind whom a run waits, as far as that is known."""
    live = session.workspace().results.live(run.owner)
    ahead = next((one.ahead for one in live if one.id == run.id), 0)
    return running.queue_words(ahead) or "something else is measured on it"


def _end(run: Run) -> str:
    state, message = run.progress.state, formatting.plain(run.progress.message)
    when = formatting.plain(formatting.moment(run.created))
    if state is State.DONE:
        return f"Measured {when} UTC. {message}"
    kept = "What was measured is kept." if run.measurements else "Nothing was measured before that."
    if state is State.CANCELLED:
        return f"Cancelled; it was started {when} UTC. {kept}"
    if state is State.INTERRUPTED:
        return f"Interrupted: its process ended. {kept} {message}"
    return f"Failed. {message}"


def _ask(verb: str, run_id: str) -> None:
    workspace = session.workspace()
    try:
        if verb == "cancel":
            workspace.runs.cancel(run_id, session.owner())
        else:
            workspace.runs.resume(run_id, session.owner())
    except CoreError as error:
        visit.notice.set(error.message)
