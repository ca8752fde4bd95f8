"""Session state: a typed field of what a visitor's session keeps, under the key of its widget.

The only module that touches Streamlit's session and the query parameters of the address. Which
fields there are is said by `state.py` of each screen, and of `shared`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import streamlit as st

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """One value of the session. A widget that shows it takes its `key` from here.

    Writing forces the value upon the widget, which loses a click made meanwhile: a script run
    writes only what differs (`settle`), callbacks and whatever is loaded write always (`set`).

    Attributes:
        key: in Streamlit's session.
        default: what is read while nothing is kept.
    """

    key: str
    default: T

    def get(self) -> T:
        """The value that is kept, else the default."""
        found: T = st.session_state.get(self.key, self.default)
        return found

    def is_set(self) -> bool:
        """Whether a value is kept."""
        return self.key in st.session_state

    def set(self, value: T) -> None:
        """Keep a value; before the widget of this key is made, or in a callback."""
        st.session_state[self.key] = value

    def settle(self, value: T) -> None:
        """Keep a value unless it stands there already."""
        if not self.is_set() or self.get() != value:
            self.set(value)

    def begin(self, value: T) -> T:
        """Keep a value unless there is one; what is kept then."""
        if not self.is_set():
            self.set(value)
        return self.get()

    def take(self) -> T:
        """The value, which is kept no longer."""
        found: T = st.session_state.pop(self.key, self.default)
        return found

    def clear(self) -> None:
        """Keep no value."""
        st.session_state.pop(self.key, None)


@dataclass(frozen=True, slots=True)
class Linked(Field[str]):
    """A value that the address of the screen can name too.

    Attributes:
        parameter: of the address.
    """

    parameter: str

    def given(self) -> str:
        """What the address says; empty where it says nothing."""
        return str(st.query_params.get(self.parameter, ""))

    def link(self, value: str) -> None:
        """Keep a value and put it into the address: one more step for the browser's Back."""
        self.set(value)
        st.query_params[self.parameter] = value

    def leave(self) -> None:
        """Keep no value, neither here nor in the address."""
        self.clear()
        if self.parameter in st.query_params:
            del st.query_params[self.parameter]


class Picked(Protocol):
    """What is picked in a chart or a table.

    Attributes:
        points: of a chart, as Plotly describes them.
        rows: of a table, by position.
    """

    points: Sequence[dict[str, Any]]
    rows: Sequence[int]


class Pick(Protocol):
    """What Streamlit keeps of a chart or a table in which something can be picked."""

    selection: Picked


def points(chart: Field[Pick | None]) -> Sequence[dict[str, Any]]:
    """The points of a chart that are picked."""
    pick = chart.get()
    return pick.selection.points if pick is not None else ()


def rows(table: Field[Pick | None]) -> Sequence[int]:
    """The rows of a table that are picked."""
    pick = table.get()
    return pick.selection.rows if pick is not None else ()


def select(table: Field[Pick | None], rows: Sequence[int]) -> None:
    """Pick rows of a table, and no others; before it is drawn, or in a callback."""
    st.session_state[table.key] = {"selection": {"rows": [*rows], "columns": [], "cells": []}}
