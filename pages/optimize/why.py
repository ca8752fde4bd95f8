"""Why is this recipe as fast as it is? Layer times on one backend, and the causes in words."""

from __future__ import annotations

import streamlit as st

from core.charts import palette, profile_figure
from core.charts.conditions import threads_text
from core.charts.profile import height
from core.errors import CoreError
from core.records import Cause, Explanation, Outcome, Run
from core.records.standing import Standing, first_threads
from core.workspace import Workspace
from pages.optimize.state import Question, state
from pages.shared import formatting, session

WAIT_S, LOOK_S = 5.0, 2.0
ASK = "why.ask"
CONFIG = {"displaylogo": False, "displayModeBar": False}


def show(run: Run, outcome: Outcome | None, workspace: Workspace) -> None:
    """The expander below the charts; nothing is measured before the button is pressed."""
    made = outcome.candidate if outcome else None
    if made is None or made.digest == run.spec.model or not run.spec.backends:
        return
    with st.expander("Why this speed?"):
        waits = state.why_pending.get()
        waiting = waits is not None and waits[:2] == (run.id, made.digest)
        st.fragment(panel, run_every=LOOK_S if waiting else None)(run, made.digest, workspace)


@session.spoken()
def panel(run: Run, digest: str, workspace: Workspace) -> None:
    """Backend, button, and the answer once there is one."""
    choice, action = st.columns([3, 1], vertical_alignment="bottom")
    backends = list(run.spec.backends)
    if state.why_backend.get() not in backends:
        state.why_backend.set(slowest(run, digest))
    with choice:
        backend = st.selectbox(
            "Backend", backends, format_func=palette.label, key=state.why_backend.key
        )
    question: Question = (run.id, digest, backend, first_threads(run))
    pending = state.why_pending.get() == question
    known = workspace.insights.profiled(*question)
    with action:
        asked = st.button(
            "Explain", key=ASK, disabled=known or pending, width="stretch",
            help="Times every layer of both models in turns, for a few seconds.",
        )  # fmt: skip
    if asked or pending or known:
        answer_to(question, workspace, 0.0 if pending else WAIT_S)
    elif (refused := state.why_refused.get()) is not None and refused[0] == question:
        st.warning(formatting.plain(refused[1]))
    else:
        st.caption(
            "Times every layer of the original and of this recipe, and says in words where the "
            f"time goes. With {threads_text(question[3])}."
        )


def answer_to(question: Question, workspace: Workspace, wait_s: float) -> None:
    """The answer, or that it is still being measured, or why there is none."""
    pending = state.why_pending.get() == question
    try:
        with st.spinner("Timing every layer of both models"):
            answer = workspace.insights.profile(*question, wait_s)
    except CoreError as error:
        state.why_refused.set((question, f"{error.message} {error.remedy}".strip()))
        state.why_pending.clear()
        st.rerun()
    if answer is None:
        state.why_pending.set(question)
        if not pending:
            st.rerun()  # from here on the panel looks again by itself
        st.info("Still measuring, or waiting for another measurement on this machine to end.")
        return
    if pending:
        state.why_pending.clear()
        st.rerun()
    draw(answer)


def draw(answer: Explanation) -> None:
    """Causes left, chart right; below each other on a phone."""
    words, chart = st.columns([2, 3])
    with words:
        st.html(markup(answer))
    chart.plotly_chart(
        profile_figure(answer),
        key="figure_why",
        height=height(answer),
        config=CONFIG,
        alt="Time per layer before and after",
    )


def markup(answer: Explanation) -> str:
    """The time of a call, what helped, what held it back, and what to switch."""
    before, after = (formatting.number(1e3 * p.total_s) for p in (answer.before, answer.after))
    arrow = "\N{RIGHTWARDS ARROW}"
    layers = f"{len(answer.before.layers)} {arrow} {len(answer.after.layers)} layers"
    parts = [f'<p class="lathe-cause-head">One call: {before} {arrow} {after} ms, {layers}.</p>']
    for gain, title in ((True, "What made it faster"), (False, "What holds it back")):
        causes = [cause for cause in answer.causes if cause.gain is gain]
        if causes:
            parts.append(f'<p class="lathe-cause-group">{title}</p>')
            parts += map(_cause, causes)
    notes = "; ".join(answer.after.notes)
    parts.append(f'<p class="lathe-note">Measured here, {formatting.escape(notes)}.</p>')
    return "".join(parts)


def _cause(cause: Cause) -> str:
    fix = f'<p class="lathe-cause-fix">{_with_code(cause.fix)}</p>' if cause.fix else ""
    return (
        f'<div class="lathe-cause {"good" if cause.gain else "bad"}">'
        f"<p><strong>{formatting.escape(cause.title)}.</strong> {formatting.escape(cause.text)}</p>"
        f"{fix}</div>"
    )


def _with_code(text: str) -> str:
    """Text in which every second piece between backticks is code."""
    pieces = text.split("`")
    return "".join(
        f"<code>{formatting.escape(piece)}</code>" if index % 2 else formatting.escape(piece)
        for index, piece in enumerate(pieces)
    )


def slowest(run: Run, digest: str) -> str:
    """The backend on which the recipe gained least: the one to be asked about."""
    rows = Standing(run)
    threads = first_threads(run)
    ratios = {
        backend: value
        for backend in run.spec.backends
        if (value := rows.value(digest, "latency_ratio", backend, threads)) is not None
    }
    return max(ratios, key=lambda name: ratios[name]) if ratios else run.spec.backends[0]
