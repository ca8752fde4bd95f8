"""A slider that stops only where it changes something: rounded on release, never stuck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pages.shared.field import Field
from pages.shared.state import forms


def offer(slider: Field[Any], stops: Sequence[float]) -> None:
    """From the next move on the slider stops at these values only; at all of them if none."""
    forms.stops(slider).set(tuple(stops))
    forms.before(slider).set(slider.get())


def moved(slider: Field[Any]) -> None:
    """After a release: go to the nearest stop, but never back to where the slider came from."""
    stops, before = forms.stops(slider).get(), forms.before(slider)
    value = slider.get()
    slider.set(type(value)(nearest(value, before.get() if before.is_set() else value, stops)))
    forms.moved(slider).set((value, slider.get()))


def came_from(slider: Field[Any]) -> float | None:
    """Where the slider was let go, if it was then moved to a stop."""
    let_go, stop = forms.moved(slider).get()
    return let_go if let_go != stop and stop == slider.get() else None


def nearest(value: float, before: float, stops: Sequence[float]) -> float:
    """The nearest stop on the side to which the slider was moved; the value itself if none is."""
    if not stops:
        return value
    if value > before:
        stops = [stop for stop in stops if stop > before + 1e-9]
    elif value < before:
        stops = [stop for stop in stops if stop < before - 1e-9]
    return min(stops, key=lambda stop: (abs(stop - value), stop), default=before)
