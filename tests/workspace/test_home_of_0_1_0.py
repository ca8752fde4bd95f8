"""A LATHE_HOME that version 0.1.0 wrote: it opens, and its runs, links and files are there.

`home_0_1_0.zip` was written by that version: one exploration of a net of five layers on 24 labelled
images. `@HOME@` stands for the folder in which it lay.
"""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.charts.rows import rows_table
from core.charts.summary import headline
from core.charts.table import to_csv
from core.recipes import name_of
from core.records import Bookmark, ExperimentSpec, Recipe, State, Status, Step
from core.tasks.base import primary_metric
from core.workspace import Workspace
from pages.shared import session

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).with_name("home_0_1_0.zip")
RUN, OWNER = "yGruFKLFpj2BBPeMFsEbfg", "command-line"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    with zipfile.ZipFile(STORED) as stored:
        stored.extractall(folder)
    with sqlite3.connect(folder / "lathe.sqlite3") as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master")]
        for table in (t for t in tables if not t.startswith("sqlite_")):
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            for column in columns:
                database.execute(  # names out of the file itself
                    f"update {table} set {column} = replace({column}, '@HOME@', ?) "
                    f"where instr({column}, '@HOME@')",
                    (str(folder),),
                )
    database.close()
    return folder


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    opened = Workspace.open(home)
    yield opened
    opened.close()


def test_its_runs_are_listed_and_read(workspace: Workspace):
    assert [line.id for line in workspace.runs.lines(OWNER)] == [RUN]
    run = workspace.runs.get(RUN)
    assert run.progress.state is State.DONE
    assert [name_of(o.recipe) for o in run.outcomes] == ["original", "fold and cut"]
    rows = {row.metric: row for row in run.measurements if row.backend == "onnxruntime"}
    assert primary_metric(run.measurements) == "top1"
    assert rows["top1"].value == 25.0
    assert rows["latency_ratio"].status in (Status.OK, Status.UNSTABLE)
    assert rows["latency_ms"].target is not None
    assert rows["latency_ms"].target.version == ""  # which rows did not say then
    assert run.host is not None
    assert run.host.versions["onnxruntime"] == "1.32.0"


def test_its_numbers_are_worded_and_exported(workspace: Workspace):
    run = workspace.runs.get(RUN)
    assert "69 % smaller" in headline(run)
    assert "25.0" in to_csv(rows_table(run))


def test_its_results_are_compared_and_take_a_bookmark(workspace: Workspace):
    (line,) = workspace.runs.lines(OWNER)
    for _ in range(2):  # condensed, and as they were kept
        found = workspace.results.of(OWNER, line.spec.model)
        assert {r.under.backend for r in found} == set(line.spec.backends)
        cut = next(r for r in found if not r.is_original)
        assert cut.ratio is not None
        assert cut.under.version == "1.32.0"  # which rows did not say then, but the run's machine
    mark = Bookmark("small", "a note", ("phone",), True)
    workspace.results.bookmark(cut.key, mark, OWNER)
    assert workspace.results.bookmarks(OWNER) == {cut.key: mark}
    assert workspace.results.bookmarks("another") == {}


def test_its_result_is_downloaded_and_its_files_are_known(workspace: Workspace):
    candidate = workspace.runs.get(RUN).outcomes[-1].candidate
    assert candidate is not None
    assert workspace.runs.download(RUN, candidate.digest).stat().st_size == 3666
    (model,) = workspace.models.of(OWNER)
    (data,) = workspace.data.of(OWNER)
    assert (model.name, data.name) == ("tiny.onnx", "data.npz")


def test_one_goes_on_with_its_model_and_its_images(workspace: Workspace):
    (model,) = workspace.models.of(OWNER)
    (data,) = workspace.data.of(OWNER)
    folded = Recipe("folded", (Step("fold_batch_norm"),))
    spec = ExperimentSpec(
        "again", model.digest, (folded,), ("null",), evaluation=data.digest, latency_budget_s=0.1
    )
    run = workspace.runs.measure(spec, OWNER)
    assert run.outcomes[-1].candidate is not None


def test_one_keeps_recipes_in_it_and_gives_its_model_another_name(workspace: Workspace):
    assert workspace.recipes.of(OWNER) == ()
    kept = workspace.recipes.keep(Recipe("", (Step("fold_batch_norm"),)), "mine", OWNER)
    assert workspace.recipes.of(OWNER) == (kept,)
    (model,) = workspace.models.of(OWNER)
    workspace.data.rename_upload(model.digest, "edge", OWNER)
    assert workspace.models.get(model.digest, OWNER).name == "edge"
    assert workspace.runs.get(RUN).model.name == "edge"


def test_its_link_opens_the_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "workspace", lambda: workspace)
    monkeypatch.setattr(session, "cookie", lambda: "")
    monkeypatch.setattr(session, "owner", lambda: OWNER)
    monkeypatch.chdir(ROOT)
    page = AppTest.from_file(str(ROOT / "pages/explore/page.py"), default_timeout=60)
    page.query_params["run"] = RUN
    page.run()
    assert not page.exception
    assert "69\N{NO-BREAK SPACE}% smaller" in " ".join(
        one.value.replace("\\", "") for one in page.markdown
    )
