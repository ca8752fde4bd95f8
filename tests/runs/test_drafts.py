"""What a visitor was working on is kept, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.runs import drafts


def test_each_visitor_has_a_draft_of_their_own(tmp_path: Path):
    folder = tmp_path / "drafts"
    assert drafts.kept(folder, "abc") == {}
    drafts.keep(folder, "abc", {"model": "m"})
    drafts.keep(folder, "def", {"model": "n"})
    drafts.keep(folder, "abc", {"model": "o"})
    assert drafts.kept(folder, "abc") == {"model": "o"}
    assert drafts.kept(folder, "def") == {"model": "n"}
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 40_000, "{}" + " " * 70_000])
def test_a_damaged_draft_is_none(tmp_path: Path, content: str):
    (tmp_path / "abc.json").write_text(content)
    assert drafts.kept(tmp_path, "abc") == {}


@pytest.mark.parametrize("owner", ["", "../x", "a/b", "é", "command-line"])
def test_a_name_that_is_no_token_has_no_file(tmp_path: Path, owner: str):
    drafts.keep(tmp_path / "drafts", owner, {"model": "m"})
    assert not list(tmp_path.rglob("*.json"))


def test_where_nothing_can_be_kept_nothing_breaks(tmp_path: Path):
    blocked = tmp_path / "drafts"
    blocked.write_text("a file where the folder should be")
    drafts.keep(blocked, "abc", {"model": "m"})
    assert drafts.kept(blocked, "abc") == {}


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drafts, "MOST_KEPT", 3)
    for age, owner in enumerate(("a", "b", "c")):
        drafts.keep(tmp_path, owner, {})
        os.utime(tmp_path / f"{owner}.json", (age, age))
    drafts.keep(tmp_path, "d", {})
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["b", "c", "d"]
