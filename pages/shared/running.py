"""The badge of what is running, on every screen; when a run ends the browser says so, if asked to.

It stands over the frame and moves nothing. Only a visitor whose run goes on is polled for.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.charts.summary import headline
from core.errors import CoreError, NoSuchRun
from core.records import Live, State
from core.workspace import Workspace
from pages.shared import component, downloads, formatting, session
from pages.shared.state import visit

POLL_S = 2.0
MOST_ENDED = 3  # of which the badge still tells
LISTS = ("runs", "compare")  # screens that show what ended, and do not look by themselves
_HTML = """
<details hidden>
  <summary></summary>
  <div class="sheet">
    <ul></ul>
    <button type="button" class="notify" hidden></button>
    <p class="said" role="status"></p>
  </div>
</details>
"""
ENDS = {
    State.DONE: "✓ done",
    State.CANCELLED: "■ cancelled",
    State.INTERRUPTED: "■ interrupted",
    State.FAILED: "✕ failed",
}


def show() -> None:
    """The badge; it looks again every other second while a run of this visitor goes on."""
    workspace = session.workspace()
    live = _live(workspace)
    if live is not None:
        note_ends(workspace, live)  # what is drawn below knows of them
    st.fragment(badge, run_every=POLL_S if visit.watched.get() else None)()


def badge() -> None:
    """What goes on, and what ended since this visitor came."""
    workspace = session.workspace()
    live, watched = _live(workspace), visit.watched.get()
    ended = visit.ended.get() if live is None else note_ends(workspace, live)
    if watched.keys() - visit.watched.get().keys() and visit.screen.get() in LISTS:
        st.rerun()
    with st.container(key="running"):
        component.of_files("running", _HTML)(
            data={"live": [told(one) for one in live or ()], "ended": list(ended)},
            key="running_badge",
        )


def _live(workspace: Workspace) -> tuple[Live, ...] | None:
    """What goes on; None where the store cannot be read: the screen itself says so."""
    try:
        return workspace.results.live(session.owner())
    except CoreError:
        return None


def told(one: Live) -> dict[str, object]:
    """A run that goes on, in words."""
    progress = one.progress
    share = progress.done / progress.total if progress.total else 0.0
    waits = progress.state is State.QUEUED
    now = "waiting for its turn" if waits else progress.current or "starting"
    if progress.eta_s is not None and not waits:
        now += f" · about {formatting.duration(progress.eta_s)} left"
    return {
        "id": one.id,
        "title": one.title,
        "percent": None if waits else round(100 * min(share, 1.0)),
        "now": now,
        "queue": queue_words(one.ahead),
        "link": f"{downloads.site()}/?run={one.id}",
    }


def queue_words(ahead: int) -> str:
    """How many runs were there first, of anybody: they take turns at the machine."""
    if not ahead:
        return ""
    runs = "1 run was" if ahead == 1 else f"{ahead} runs were"
    return f"{runs} started before it; they take turns"


def note_ends(workspace: Workspace, live: tuple[Live, ...]) -> tuple[Mapping[str, object], ...]:
    """The runs that ended while this visitor was here, the last ones; each is read once."""
    watched, going = visit.watched.get(), {one.id for one in live}
    found = list(visit.ended.get())
    still = {one.id: one.title for one in live}
    for run_id, title in watched.items():
        if run_id not in going:
            try:
                found.append(_ended(workspace, run_id, title))
            except CoreError:  # the store cannot be read just now: it is asked again
                still[run_id] = title
    found = [one for one in found if one["id"] not in going][-MOST_ENDED:]
    visit.ended.set(tuple(found))
    visit.watched.set(still)
    return tuple(found)


def _ended(workspace: Workspace, run_id: str, title: str) -> dict[str, object]:
    try:
        run = workspace.runs.get(run_id)
    except NoSuchRun:  # deleted meanwhile
        return {
            "id": run_id,
            "title": title,
            "state": "gone",
            "said": "It was deleted.",
            "link": "",
        }
    return {
        "id": run_id,
        "title": title,
        "state": ENDS.get(run.progress.state, ""),
        "said": headline(run),
        "link": downloads.address(run),
    }
