"""Passes of which at most one runs, as one control with plain choices (fp32, fp16, int8 ...).

A pass says in `family` which passes it excludes, and in `presets` what its choices are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.passes.base import Pass, catalogue, parameters
from core.records import Recipe
from pages.widgets import keys

AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class Choice:
    """One plain choice: a pass with some of its parameters set."""

    label: str
    pass_name: str
    params: Mapping[str, Any]


def families(passes: Mapping[str, type[Pass]]) -> dict[str, list[str]]:
    """Family -> its passes."""
    found: dict[str, list[str]] = {}
    for name, kind in passes.items():
        if kind.family:
            found.setdefault(kind.family, []).append(name)
    return found


def choices(family: str) -> Iterator[Choice]:
    """Every preset of the passes of a family, in the order of the passes."""
    for name in families(catalogue()).get(family, ()):
        for label, params in catalogue()[name].presets.items():
            yield Choice(label, name, params)


def show(family: str) -> str:
    """The control; the name of the pass that is chosen, or nothing."""
    key = _key(family)
    known = {choice.label: choice for choice in choices(family)}
    standing = standing_choice(family)
    if st.session_state.get(key) not in (AS_IT_IS, *known) or _moved(family, known):
        st.session_state[key] = standing
    st.segmented_control(
        family,
        [AS_IT_IS, *known],
        required=True,
        key=key,
        on_change=_choose,
        args=(family,),
        persist_state="session",
        help="\n\n".join(
            f"**{choice.label}**: {catalogue()[choice.pass_name].help}" for choice in known.values()
        ),
    )
    chosen = known.get(st.session_state[key])
    return chosen.pass_name if chosen else ""


def load(recipe: Recipe) -> None:
    """Set the control of every family to what a recipe holds; the parameters are set already."""
    for family in families(catalogue()):
        st.session_state[_key(family)] = standing_choice(family)


def standing_choice(family: str) -> str:
    """The choice that the switches and parameters stand at: the closest of the pass that is on."""
    on = [n for n in families(catalogue())[family] if st.session_state.get(keys.of(n))]
    mine = [choice for choice in choices(family) if on and choice.pass_name == on[-1]]
    if not mine:
        return AS_IT_IS
    return max(mine, key=_fits).label


def _fits(choice: Choice) -> int:
    known = parameters(catalogue()[choice.pass_name])
    return sum(
        st.session_state.get(keys.of(choice.pass_name, name), known[name][0]) == value
        for name, value in choice.params.items()
    )


def _moved(family: str, known: Mapping[str, Choice]) -> bool:
    """Whether the switches were set from outside to another pass than the control says."""
    chosen = known.get(st.session_state.get(_key(family), ""))
    on = [n for n in families(catalogue())[family] if st.session_state.get(keys.of(n))]
    return [chosen.pass_name] != on[-1:] if chosen else bool(on)


def _choose(family: str) -> None:
    """Switch the chosen pass on with its preset, the others off."""
    label = st.session_state[_key(family)]
    for name in families(catalogue())[family]:
        st.session_state[keys.of(name)] = False
    for choice in choices(family):
        if choice.label == label:
            st.session_state[keys.of(choice.pass_name)] = True
            for name, value in choice.params.items():
                st.session_state[keys.of(choice.pass_name, name)] = value


def _key(family: str) -> str:
    return f"recipe.family.{family}"
