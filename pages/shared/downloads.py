"""Take the result along: the model, its recipe, a report that opens offline, every row, a link."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import streamlit as st

from core.charts import palette, quantities
from core.charts.conditions import threads_text
from core.charts.report import report_html
from core.charts.rows import rows_table
from core.charts.table import to_csv
from core.errors import CoreError
from core.package.base.texts import offered
from core.recipes import ORIGINAL, name_of
from core.records import Candidate, Outcome, Recipe, Run, RunLine, to_json
from core.records.standing import Standing, baseline, first_threads
from core.records.stored import stored_bytes
from core.search.choose import best
from core.wording import sentence
from core.workspace import Workspace, formats
from pages.shared import formatting, password, session
from pages.shared.state import panels, visit

EAGER_BYTES = 64 << 20
ONE_FILE = 2 << 30
FILES = "take"  # the route of large files, see file_route
PACKAGE = "package"
PACKED = (
    "The model file with a program that runs it as it was measured, its preprocessing, labels, "
    "pinned versions, recipe, card and every measured row."
)
EXPLORE = "pages/explore/page.py"


def show(run: Run, workspace: Workspace, of: Outcome | None = None) -> None:
    """One row of buttons; with several recipes and none given, a choice of whose model it is."""
    outcome = of or _choose(run, [o for o in run.outcomes if o.candidate is not None])
    if outcome is not None and outcome.candidate is not None:
        for warning in (w for step in outcome.candidate.report for w in step.warnings):
            st.warning(formatting.plain(sentence(warning)))
    with st.container(horizontal=True, key="downloads"):
        if outcome is not None:
            if outcome.candidate is not None:
                model(run, outcome, workspace)
                packages(run, outcome.candidate)
                other_formats(run, outcome.candidate)
            recipe(run, outcome)
        report(run)
        rows(run)
        link(run)


def chosen(run: Run) -> Outcome | None:
    """The recipe whose model is offered: the one picked, else the run's best."""
    made = {o.candidate.digest: o for o in run.outcomes if o.candidate is not None}
    picked = made.get(panels.download(run.id).get())
    return picked or best(run) or next(iter(made.values()), None)


def model(run: Run, outcome: Outcome, workspace: Workspace) -> None:
    """The candidate's file. A large one has an address of its own: a button holds it in memory."""
    digest = outcome.candidate.digest if outcome.candidate else ""
    try:
        path = workspace.runs.candidate_file(run.id, digest)
        size = stored_bytes(path)
    except (CoreError, OSError) as error:
        st.caption(formatting.plain(f"The model file is gone: {error}"))
        return
    if size > EAGER_BYTES:
        about = f"{'A .zip of the ONNX file and its data' if size > ONE_FILE else 'The ONNX file'}."
        where = _address_of(run, digest)
        st.link_button(f"Model ({formatting.size(size)})", where, help=f"{about} SHA-256 {digest}")
        return
    _save(
        f"Model ({formatting.size(size)})",
        path.read_bytes(),
        f"{stem(run, outcome.recipe)}.onnx",
        "application/octet-stream",
        f"The ONNX file. SHA-256 {digest}",
    )


def packages(run: Run, candidate: Candidate) -> None:
    """The model with a program that runs it, for each backend on which it was timed."""
    targets = offered(run, candidate.digest)
    if not targets:
        return
    with st.popover("Package"):
        st.caption(PACKED)
        for spec in targets:
            st.link_button(
                f"Package for {palette.label(spec)}",
                _address_of(run, candidate.digest, f"{PACKAGE}/{quote(spec, safe='')}"),
                help="A .zip, made when you first ask for it. Its README says how to run it.",
            )
            st.caption(formatting.plain(time_of(run, candidate.digest, spec)))


def time_of(run: Run, digest: str, spec: str) -> str:
    """How long a call takes where it was timed: "0.126 ms (0.124–0.128), 1 thread"."""
    threads = first_threads(run)
    row = Standing(run).row(digest, "latency_ms", spec, threads)
    if row is None:
        return ""
    interval = quantities.interval("latency_ms", row.low, row.high)
    words = quantities.reading("latency_ms", row.value)
    return f"{words}{f' ({interval})' if interval else ''}, {threads_text(threads)}"


def other_formats(run: Run, candidate: Candidate) -> None:
    """The model as other runtimes take it; converted when it is first asked for."""
    with st.popover("Other formats"):
        for form in formats.exported():
            st.link_button(
                formats.label(form),
                _address_of(run, candidate.digest, form),
                help="A .zip with all its files, converted when you first ask for it.",
            )
            st.caption(formatting.plain(told_of(run, candidate.digest, form)))


def told_of(run: Run, digest: str, form: str) -> str:
    """What this run measured of a model in a format: its size, and how long a call takes."""
    standing, found = Standing(run), []
    for spec in run.spec.backends:
        if spec.partition("@")[2] == form:
            size = standing.value(digest, "size_bytes", spec)
            found += [formatting.size(int(size))] if size is not None else []
            time_ms = standing.value(digest, "latency_ms", spec)
            name = palette.label(spec)
            found.append(f"{time_ms:.3g} ms on {name}" if time_ms else f"no time on {name}")
    if found:
        return f"Measured: {', '.join(found)}."
    return "Not measured in this run: choose it among the backends."


def _address_of(run: Run, digest: str, form: str = "") -> str:
    """Where the browser finds a model file."""
    place = "/".join((site(), FILES, run.id, digest, *([form] if form else [])))
    return f"{place}?key={password.key(run.id, digest)}"


def recipe(run: Run, outcome: Outcome) -> None:
    """The passes and their parameters, as the command line takes them."""
    text = json.dumps(to_json(outcome.recipe), indent=2, ensure_ascii=False)
    about = "JSON; run it again with: python -m core optimize MODEL --recipe FILE -o OUT.onnx"
    name = f"{stem(run, outcome.recipe)}.json"
    _save("Recipe", text.encode(), name, "application/json", about)


def report(run: Run) -> None:
    """Charts, every row, machine, versions and digests as one HTML file."""
    page = _report(run.id, len(run.measurements), run.progress.state.value, address(run), run)
    about = "One HTML file that opens without a network: charts, every row, machine, versions."
    _save("Report", page, f"{stem(run)}_report.html", "text/html", about)


def rows(run: Run) -> None:
    """Every row as CSV."""
    about = "Every row with its unit, interval, status and reason."
    data = to_csv(rows_table(run)).encode("utf-8-sig")
    _save("Rows (CSV)", data, f"{stem(run)}_rows.csv", "text/csv", about)


def link(run: Run) -> None:
    """The permalink, ready to copy."""
    with st.popover("Link"):
        st.caption("Whoever has this address sees this result, also after a restart.")
        st.code(address(run), language=None, wrap_lines=True)


def address(run: Run | RunLine) -> str:
    """The full address under which a run can be reopened."""
    return f"{site()}/{'explore' if is_sweep(run) else ''}?run={run.id}"


def site() -> str:
    """The address of Lathe itself, as this visitor sees it."""
    base = str(st.context.url or "").split("?")[0].split("#")[0].rstrip("/")
    for page in ("/explore", "/model", "/backends", "/compare", "/runs", "/optimize"):
        base = base.removesuffix(page)
    return base


def is_sweep(run: Run | RunLine) -> bool:
    """Whether a run weighs several recipes: then Explore shows it, else Optimize."""
    return len(run.spec.recipes) > 2 and run.spec.goal is None


def reopen(run: Run) -> None:
    """Go to the screen that shows a run."""
    screen = EXPLORE if is_sweep(run) else session.OPTIMIZE
    st.switch_page(screen, query_params={visit.run.parameter: run.id})


def stem(run: Run, of: Recipe | None = None) -> str:
    """A file name without its ending, that says what is inside: resnet_prune_channels_30."""
    words = [run.model.name.removesuffix(".onnx")]
    if of is not None:
        words.append(name_of(of))
    return slug(" ".join(words))


def slug(text: str) -> str:
    """Any text as a file name: lower case, digits and underscores."""
    flat = re.sub(r"[^a-z0-9]+", "_", text.removesuffix(".onnx").lower()).strip("_")
    return flat[:80].rstrip("_") or "model"


def _choose(run: Run, made: list[Outcome]) -> Outcome | None:
    """The one recipe, or a picker that opens at the best of several."""
    first = chosen(run)
    if len(made) <= 2 or first is None or first.candidate is None:
        return first
    names = {o.candidate.digest: name_of(o.recipe) for o in made if o.candidate is not None}
    base = baseline(run)
    if base is not None:
        names[base.digest] = ORIGINAL
    names = formatting.apart(names)
    picked = panels.download(run.id)
    picked.begin(first.candidate.digest)
    st.selectbox("Recipe to download", list(names), format_func=names.__getitem__, key=picked.key)
    return chosen(run)


def _save(label: str, data: bytes, name: str, mime: str, about: str) -> None:
    """A button that never reruns the page; deferred data would be lost to a rerun."""
    st.download_button(
        label,
        data,
        file_name=name,
        mime=mime,
        help=about,
        on_click="ignore",
        key=f"save.{name}",
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _report(run_id: str, rows: int, state: str, link: str, _run: Run) -> bytes:
    """Made once for each state of a run that somebody looks at."""
    return report_html(_run, link).encode()
