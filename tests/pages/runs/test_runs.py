"""The Runs screen: reopen, compare, delete, share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import streamlit as st

from core.errors import StoreError
from core.records import Answer, Bookmark
from core.records.stored import Upload
from pages.runs import answers
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


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"runs.search": "nothing has this"}, []),
        ({"runs.search": "answer 2025-12"}, ["unlabelled"]),
        ({"runs.search": "epyc openvino", "runs.states": ["▶ running"]}, ["live"]),
        ({"runs.models": ["resnet"]}, ["sweep", "unlabelled", "live"]),
        ({"runs.tags": ["ship it"]}, ["sweep"]),
        ({"runs.pinned": True}, ["sweep"]),
    ],
)
def test_the_list_is_searched_and_filtered(fake, filters, kept):
    fake.marks["sweep", builders.PRUNED] = Bookmark("mine", tags=("ship it",), pinned=True)
    test = page("runs")
    for key, value in filters.items():
        test.session_state[key] = value
    test = clean(test.run())
    assert list(test.session_state["runs.order"] if kept else []) == kept
    if kept:
        assert test.selectbox(key="runs.chosen").value in kept
    else:
        assert "0 of 4 runs match" in words(test)


def test_a_line_has_speed_accuracy_images_and_machine(runs):
    frame = runs.dataframe[0].value
    assert frame["speed"][0] == "2.56× faster on OpenVINO"
    assert frame["accuracy"][0] == "93.4 % (−0.4 points)"
    assert frame["images"][0] == 2000
    assert frame["machine"][0] == "AMD EPYC 9354 32-Core Processor, 2 cores"


def test_runs_are_cards_on_a_phone_that_lead_to_each_run(runs):
    cards = "".join(element.body for element in runs.get("html"))
    assert 'explore?run=sweep" target="_self">resnet · 2 recipes</a>' in cards
    assert "<dt>images</dt><dd>2000</dd>" in cards


def test_a_long_list_is_shown_before_all_its_numbers_are_read(fake, monkeypatch):
    monkeypatch.setattr(answers, "LOOK_S", 0.0)
    test = clean(page("runs").run())
    assert len(test.dataframe[0].value) == 4
    assert "Reading the numbers of 4 older runs" in words(test)


def test_a_run_leads_to_all_recipes_of_its_model(runs, monkeypatch):
    went = []
    monkeypatch.setattr(
        st, "switch_page", lambda page, query_params: went.append((page, query_params))
    )
    clean(runs.button(key="runs.compare").click().run())
    assert went == [("pages/compare/page.py", {"model": builders.BASE})]


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
