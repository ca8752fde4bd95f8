"""The badge: what is running on every screen, whom it waits for, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import StoreError
from core.records import Live, RunProgress, State
from pages.shared import component, running
from tests.charts import builders as b
from tests.pages.screen import ROOT, clean, stock


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


@pytest.fixture
def given(monkeypatch):
    """What the badge was given, by run of the script."""
    found: list[dict[str, Any]] = []
    kept = lambda **words: found.append(words["data"])  # noqa: E731
    monkeypatch.setattr(component, "of_files", lambda name, html: kept)
    return found


def app() -> AppTest:
    return clean(AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run())


@pytest.mark.parametrize("screen", ["explore", "compare", "model", "backends", "runs"])
def test_it_is_on_every_screen(fake, given, screen):
    clean(app().switch_page(f"pages/{screen}/page.py").run())
    assert [run["id"] for run in given[-1]["live"]] == ["live"]
    assert given[-1]["live"][0]["percent"] == 30
    assert given[-1]["live"][0]["now"] == "latency on OpenVINO · about 40 s left"
    assert given[-1]["ended"] == []


def test_what_ends_is_told_once_with_its_answer(fake, given):
    test = app()
    fake.known["live"] = replace(b.run(id="live"), progress=RunProgress(State.DONE, 10, 10))
    clean(test.run())
    (ended,) = given[-1]["ended"]
    assert given[-1]["live"] == []
    assert (ended["id"], ended["state"]) == ("live", "✓ done")
    assert ended["said"].startswith("Best of 2 recipes")
    assert ended["link"].endswith("?run=live")
    clean(test.run())
    assert [run["id"] for run in given[-1]["ended"]] == ["live"]


def test_a_list_is_read_anew_when_a_poll_sees_an_end(fake, given, monkeypatch):
    """The badge polls alone: the list beside it would go on to say that the run goes on."""
    asked = []
    monkeypatch.setattr(running.st, "rerun", lambda: asked.append("rerun"))
    for screen, expected in (("runs", ["rerun"]), ("model", [])):
        asked.clear()
        live = b.run(id="live", progress=RunProgress(State.RUNNING, 3, 10))
        fake.known["live"] = live
        test = clean(app().switch_page(f"pages/{screen}/page.py").run())
        noted = running.note_ends
        fake.known["live"] = replace(live, progress=RunProgress(State.DONE, 10, 10))
        calls = iter((lambda *_: (), noted))  # it ends after the screen was drawn
        monkeypatch.setattr(running, "note_ends", lambda *words, calls=calls: next(calls)(*words))
        clean(test.run())
        assert asked == expected
        monkeypatch.setattr(running, "note_ends", noted)


def test_a_run_that_was_deleted_is_no_error(fake, given):
    test = app()
    del fake.known["live"]
    clean(test.run())
    assert given[-1]["ended"][0]["said"] == "It was deleted."


@pytest.mark.parametrize("broken", ["live", "get"])
def test_a_store_that_cannot_be_read_ends_nothing(fake, given, monkeypatch, broken):
    test = app()
    if broken == "get":
        fake.known["live"] = replace(b.run(id="live"), progress=RunProgress(State.DONE, 10, 10))
    room = fake.results if broken == "live" else fake.runs

    def locked(*_: object) -> None:
        raise StoreError("Results cannot be read: database is locked.")

    with monkeypatch.context() as context:
        context.setattr(room, broken, locked)
        test.run()
        assert given[-1]["ended"] == []
    fake.known["live"] = replace(b.run(id="live"), progress=RunProgress(State.DONE, 10, 10))
    clean(test.run())
    assert [one["state"] for one in given[-1]["ended"]] == ["✓ done"]


def test_a_run_that_goes_on_again_is_live_again(fake, given):
    test = app()
    live = fake.known["live"]
    fake.known["live"] = replace(live, progress=RunProgress(State.CANCELLED, 3, 10))
    clean(test.run())
    assert given[-1]["ended"][0]["state"] == "■ cancelled"
    fake.known["live"] = live
    clean(test.run())
    assert given[-1]["ended"] == []


def test_nothing_running_is_nothing_to_see(fake, given):
    del fake.known["live"]
    app()
    assert given[-1] == {"live": [], "ended": []}


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0, ""),
        (1, "1 run was started before it; they take turns"),
        (3, "3 runs were started before it; they take turns"),
    ],
)
def test_who_waits_is_told_for_how_many(ahead, words):
    waiting = Live("r", "<b>title</b>", "net", RunProgress(State.QUEUED), ahead)
    told = running.told(waiting)
    assert (told["queue"], told["percent"], told["now"]) == (words, None, "waiting for its turn")
