"""A field reads and writes the session under its key, and writes no more than it must."""

from __future__ import annotations

import pytest
import streamlit as st

from pages.shared.field import Field, Linked, points, rows, select


class Counting(dict):
    """A session that counts what is written to it: each writing forces a widget."""

    writes = 0

    def __setitem__(self, key, value):
        self.writes += 1
        super().__setitem__(key, value)


@pytest.fixture(autouse=True)
def session(monkeypatch):
    kept = Counting()
    monkeypatch.setattr(st, "session_state", kept)
    return kept


@pytest.fixture
def address(monkeypatch):
    named: dict[str, str] = {}
    monkeypatch.setattr(st, "query_params", named)
    return named


def test_an_unset_field_reads_as_its_default_and_writes_nothing(session):
    ratio = Field("ratio", 0.3)
    assert ratio.get() == 0.3
    assert not ratio.is_set()
    assert not session


def test_settle_writes_only_what_differs(session):
    ratio = Field("ratio", 0.3)
    ratio.settle(0.3)
    ratio.settle(0.3)
    assert session.writes == 1
    ratio.settle(0.5)
    assert (session.writes, ratio.get()) == (2, 0.5)


def test_begin_leaves_what_is_kept(session):
    ratio = Field("ratio", 0.3)
    assert [ratio.begin(0.4), ratio.begin(0.5)] == [0.4, 0.4]
    assert session.writes == 1


def test_take_keeps_nothing(session):
    notice = Field("notice", "")
    notice.set("gone")
    assert [notice.take(), notice.take()] == ["gone", ""]
    assert not session


def test_a_linked_field_writes_the_address_too(session, address):
    run = Linked("explore.run", "", "run")
    assert run.given() == ""
    run.link("abc")
    assert (session, address) == ({"explore.run": "abc"}, {"run": "abc"})
    run.leave()
    run.leave()
    assert not session
    assert not address


def test_nothing_is_picked_where_nothing_is_drawn():
    chart = Field("chart", None)
    assert (points(chart), rows(chart)) == ((), ())


def test_a_row_of_a_table_can_be_picked_and_let_go(session):
    table = Field("table", None)
    select(table, (3,))
    assert session["table"]["selection"]["rows"] == [3]
    select(table, ())
    assert session["table"]["selection"]["rows"] == []
