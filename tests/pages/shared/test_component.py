"""Browser components: each carries the look of all controls beside its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st

from pages.shared import component

HERE = Path(component.__file__).parent


@pytest.fixture
def made(monkeypatch):
    """The arguments of every component that is made."""
    found = {}

    def keep(name, **parts):
        found[name] = parts
        return name

    monkeypatch.setattr(st.components.v2, "component", keep)
    component.component.clear()
    yield found
    component.component.clear()


@pytest.mark.parametrize("name", ["running", "result_card"])
def test_files_of_its_name_are_its_look_and_its_script(made, name):
    assert component.of_files(name, "<p></p>") == f"lathe_{name}"
    parts = made[f"lathe_{name}"]
    for kind in ("css", "js"):
        assert (HERE / f"{name}.{kind}").read_text(encoding="utf-8") in parts[kind]
    assert (HERE / "component.css").read_text(encoding="utf-8") in parts["css"]


def test_it_is_made_once(made):
    component.unseen("cookie", "export default () => {}")
    made.clear()
    component.unseen("cookie", "export default () => {}")
    assert not made
