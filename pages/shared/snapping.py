"""A slider that stops only where it changes something: rounded on release, never stuck."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

STOPS, BEFORE, MOVED = "snap.stops.{}", "snap.before.{}", "snap.moved.{}"


def offer(key: str, stops: Sequence[float]) -> None:
    """From the next move on the slider `key` stops at these values only; at all of them if none."""
    st.session_state[STOPS.format(key)] = tuple(stops)
    st.session_state[BEFORE.format(key)] = st.session_state[key]


def moved(key: str) -> None:
    """After a release: go to the nearest stop, but never back to where the slider came from."""
    state = st.session_state
    stops = state.get(STOPS.format(key), ())
    value = state[key]
    state[key] = type(value)(nearest(value, state.get(BEFORE.format(key), value), stops))
    state[MOVED.format(key)] = (value, state[key])


def came_from(key: str) -> float | None:
    """Where the slider was let go, if it was then moved to a stop."""
    let_go, stop = st.session_state.get(MOVED.format(key), (None, None))
    return let_go if let_go != stop and stop == st.session_state[key] else None


def nearest(value: float, before: float, stops: Sequence[float]) -> float:
    """The nearest stop on the side to which the slider was moved; the value itself if none is."""
    if not stops:
        return value
    if value > before:
        stops = [stop for stop in stops if stop > before + 1e-9]
    elif value < before:
        stops = [stop for stop in stops if stop < before - 1e-9]
    return min(stops, key=lambda stop: (abs(stop - value), stop), default=before)
