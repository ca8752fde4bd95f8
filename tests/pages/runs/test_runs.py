"""The Runs screen: reopen, compare, delete, share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import StoreError
from core.records import Answer
from core.records.stored import Upload
from pages.shared import downloads
from pages.shared.state import uploads
from tests.charts import builders
from tests.pages.screen import clean, files, markup, page, stock, words


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


@pytest.fixture
def runs(fake):
    return clean(page("runs").run())


def test_every_run_is_a_line_with_its_answer(runs):
    frame = runs.dataframe[0].value
    assert (frame["model"][0], frame["recipe"][0]) == ("resnet", "2 recipes")
    assert frame["backends"][0] == "ONNX Runtime, OpenVINO, OpenCV DNN"
    assert len(frame) == 4
    assert "faster on" in frame["answer"][0]
    assert "running" in frame["state"][3]


def test_nothing_measured_says_where_to_begin(fake):
    fake.known.clear()
    assert "Nothing is measured yet" in words(clean(page("runs").run()))


def test_choosing_a_run_offers_its_files(runs):
    assert files(runs) == ["Model (7 B)", "Recipe", "Report", "Rows (CSV)"]
    chosen = clean(runs.selectbox(key="runs.chosen").select("unlabelled").run())
    assert "same answer as the original" in words(chosen)


def test_open_leads_to_the_screen_that_shows_it(runs, monkeypatch):
    went = []
    monkeypatch.setattr(downloads, "reopen", lambda run: went.append(run.id))
    clean(runs.button(key="runs.open").click().run())
    assert went == ["sweep"]


def test_delete_asks_first(fake, runs):
    asked = clean(runs.button(key="runs.delete").click().run())
    assert "sweep" in fake.known
    clean(asked.button(key="runs.delete.yes").click().run())
    assert "sweep" not in fake.known


def test_a_failed_delete_is_said(fake, runs, monkeypatch):
    def refuse(run_id, owner):
        raise StoreError("The store is read-only.")

    monkeypatch.setattr(fake.runs, "delete", refuse)
    asked = runs.button(key="runs.delete").click().run()
    after = clean(asked.button(key="runs.delete.yes").click().run())
    assert "read\\-only" in words(after)


def test_two_results_stand_side_by_side(runs):
    test = clean(runs.selectbox(key="compare.A.run").select("sweep").run())
    test = clean(test.selectbox(key="compare.A.recipe.sweep").select(builders.PRUNED).run())
    table = test.dataframe[1].value.set_index(["quantity", "backend"])
    line = table.loc[("median latency", "OpenVINO")]
    assert (line["A"], line["B"], line["better"]) == ("1.10 ms", "0.700 ms", "B")
    assert line["B against A"] == "−36 %"


def test_different_machines_are_never_weighed(fake):
    other = replace(builders.HOST, cpu="another")
    fake.known["sweep"] = replace(fake.known["sweep"], host=other)
    test = clean(page("runs").run())
    assert "different machines" in words(test)
    table = test.dataframe[1].value.set_index("quantity")
    assert set(table.loc["median latency"]["B against A"]) == {"other machine"}
    assert "equal" in set(table.loc["file size"].values)


def test_another_runtime_on_the_same_machine_keeps_times_comparable(fake):
    more = replace(builders.HOST, versions={**builders.HOST.versions, "ncnn": "1"})
    fake.known["sweep"] = replace(fake.known["sweep"], host=more)
    test = clean(page("runs").run())
    assert "different machines" not in words(test)
    table = test.dataframe[1].value.set_index("quantity")
    assert "other machine" not in set(table.loc["median latency"]["B against A"])


def test_hostile_names_stay_text(runs):
    chosen = clean(runs.selectbox(key="runs.chosen").select("hostile").run())
    assert not markup(chosen)


def test_the_link_names_the_screen_and_the_run(runs):
    assert any(code.value.endswith("explore?run=sweep") for code in runs.code)


@pytest.mark.parametrize(
    ("text", "name"),
    [("ResNet-50.onnx", "resnet_50"), ("../../etc/passwd", "etc_passwd"), ("<>", "model")],
)
def test_file_names_are_tame(text, name):
    assert downloads.slug(text) == name


def test_file_names_say_what_is_inside():
    run = builders.run()
    assert downloads.stem(run, builders.RECIPES[1]) == "resnet_prune_30"
    assert downloads.stem(run, builders.RECIPES[0]) == "resnet_original"
    assert len(downloads.stem(run, replace(builders.RECIPES[1], name="x" * 500))) <= 80


def test_a_single_run_is_compared_with_its_original(fake):
    fake.known = {"sweep": fake.known["sweep"]}
    test = clean(page("runs").run())
    chosen = [test.selectbox(key=f"compare.{side}.recipe.sweep").value for side in "AB"]
    assert chosen[0] == fake.known["sweep"].outcomes[0].candidate.digest
    assert chosen[1] != chosen[0]


def test_two_files_of_one_name_can_be_told_apart(fake):
    other = builders.run(id="other", created="2026-01-02T03:04:09")
    fake.known = {
        "sweep": fake.known["sweep"],
        "other": replace(other, spec=replace(other.spec, model="f0" * 32)),
    }
    test = clean(page("runs").run())
    assert list(test.dataframe[0].value["model"]) == ["resnet (aaaaaa)", "resnet (f0f0f0)"]
    assert len(set(test.selectbox(key="runs.chosen").options)) == 2


def test_an_answer_is_worded_once_and_again_only_when_the_run_goes_on(fake, monkeypatch):
    clean(page("runs").run())
    assert set(fake.answers) == {"sweep", "hostile", "unlabelled"}  # "live" may still change
    looked = []
    monkeypatch.setattr(fake.insights, "hindsights", lambda run: looked.append(run.id) or ())
    fake.answers["sweep"] = Answer("As it was kept.")
    frame = clean(page("runs").run()).dataframe[0].value
    assert frame["answer"][0] == "As it was kept."
    assert looked == ["live"]


UPLOADS = (
    Upload(
        "9" * 64, "<b>net</b>.onnx", "model", 2_000_000, "2026-01-01 10:00:00", "me", ("sweep",)
    ),
    Upload("8" * 64, "set.zip", "images", 5_000_000, "2026-01-01 09:00:00", "me"),
)


def test_uploads_are_listed_with_the_room_that_they_take(fake):
    fake.held = UPLOADS
    test = clean(page("runs").run())
    frame = test.dataframe[-1].value
    assert list(frame["name"]) == ["<b>net</b>.onnx", "set.zip"]
    assert list(frame["runs"]) == [1, 0]
    assert "They take 2.10 MB of the 21.5 GB that each visitor has" in words(test)
    assert not markup(test)


def test_an_upload_is_deleted_with_its_runs_only_when_that_was_read(fake):
    fake.held = UPLOADS
    test = clean(page("runs").run())
    asked = clean(test.button(key="uploads.delete").click().run())
    assert "1 run need it" not in words(asked)
    assert "1 run needs it and would go with it" in words(asked)
    assert asked.button(key="uploads.delete.yes").label == "Delete it and 1 run"
    after = clean(asked.button(key="uploads.delete.yes").click().run())
    assert ("delete_upload", f"{'9' * 64} True") in fake.verbs
    assert "is deleted" in words(after)
    assert list(after.dataframe[-1].value["name"]) == ["set.zip"]


def test_uploads_are_there_before_anything_is_measured(fake):
    fake.known.clear()
    fake.held = UPLOADS[1:]
    test = clean(page("runs").run())
    asked = clean(test.button(key="uploads.delete").click().run())
    assert asked.button(key="uploads.delete.yes").label == "Delete"
    fake.refuse = "The disk is full."
    assert "The disk is full" in words(clean(asked.button(key="uploads.delete.yes").click().run()))


def test_an_upload_is_renamed(fake):
    fake.held = UPLOADS
    test = clean(page("runs").run())
    asked = clean(test.button(key="uploads.rename").click().run())
    asked.text_input(key=uploads.name("9" * 64).key).set_value("edge")
    sent = next(button for button in asked.button if button.label == "Rename")
    after = clean(sent.click().run())
    assert ("rename_upload", f"{'9' * 64} edge") in fake.verbs
    assert list(after.dataframe[-1].value["name"]) == ["edge", "set.zip"]
    assert "is now called edge" in words(after)
    assert not markup(after)


def test_why_an_upload_keeps_its_name_is_told(fake):
    fake.held, fake.refuse = UPLOADS, "This name is empty."
    test = clean(page("runs").run())
    asked = clean(test.button(key="uploads.rename").click().run())
    sent = next(button for button in asked.button if button.label == "Rename")
    assert "This name is empty" in words(clean(sent.click().run()))
