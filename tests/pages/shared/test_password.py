"""A server with a password shows nothing else until it is given."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import password

SCRIPT = """
import streamlit as st
from pages.shared import password
if password.ask():
    st.write("inside")
"""


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(password, "WRONG_S", 0.0)
    monkeypatch.setenv(password.VARIABLE, "sesam öffne")
    return AppTest.from_string(SCRIPT)


def given(door: AppTest, word: str) -> AppTest:
    door.run().text_input[0].input(word)
    return door.button[0].click().run()


def test_the_right_one_opens(door: AppTest) -> None:
    assert [m.value for m in given(door, "sesam öffne").markdown] == ["inside"]


def test_a_wrong_one_does_not(door: AppTest) -> None:
    shut = given(door, "open sesame")
    assert not shut.markdown
    assert shut.error[0].value == "That is not the password."


def test_without_one_the_door_stands_open(door: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(password.VARIABLE)
    assert [m.value for m in door.run().markdown] == ["inside"]


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1"])
def test_a_local_server_needs_no_warning(address: str) -> None:
    assert not password.warning(address)


def test_a_public_one_is_warned_of_until_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(password.VARIABLE, raising=False)
    assert "LATHE_PASSWORD" in password.warning("0.0.0.0")
    monkeypatch.setenv(password.VARIABLE, "x")
    assert not password.warning("0.0.0.0")
