"""Passes of which at most one runs, as one control with plain choices (fp32, fp16, int8 ...).

A pass says in `family` which passes it excludes, and in `presets` what its choices are called. The
few that most people need stand in one row; all others stand in a list behind "other …".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.records import ModelSummary, Recipe
from core.search.space import AS_IT_IS, families
from core.workspace.passes import catalogue, parameters
from pages.shared import formatting
from pages.shared.state import forms

OTHER = "other …"
PLAIN = ("fp32", "fp16", "int8 safe", "int8 fastest", "int4 weights")
STORED = {8: "fp64", 4: "fp32", 2: "fp16"}  # bytes of a weight


@dataclass(frozen=True, slots=True)
class Choice:
    """One plain choice: a pass with some of its parameters set."""

    label: str
    pass_name: str
    params: Mapping[str, Any]


def choices(family: str) -> Iterator[Choice]:
    """Every preset of the passes of a family, in the order of the passes."""
    for name in families(catalogue()).get(family, ()):
        for label, params in catalogue()[name].presets.items():
            yield Choice(label, name, params)


def plain(labels: list[str], off: str = AS_IT_IS) -> list[str]:
    """Those that stand in the row: what most people need, all of them where none is known so.

    Args:
        labels: of a family.
        off: what leaving the model alone is called; a choice of that name is not needed twice.
    """
    return [name for name in PLAIN if name in labels and name != off] or labels


def show(family: str, model: ModelSummary | None = None) -> str:
    """The control; the name of the pass that is chosen, or nothing."""
    known = {choice.label: choice for choice in choices(family)}
    off = stored_as(model)
    row = plain(list(known), off)
    rest = [label for label in known if label not in row]
    if _is_stale(family, known, row):
        _stand(family, row)
    st.segmented_control(
        family,
        [AS_IT_IS, *row, *([OTHER] if rest else [])],
        required=True,
        format_func=lambda label: off if label == AS_IT_IS else label,
        key=forms.choice(family).key,
        on_change=_choose,
        args=(family,),
        persist_state="session",
        help=_help([known[label] for label in row]),
    )
    if forms.choice(family).get() == OTHER:
        st.selectbox(
            f"Other {family.lower()}",
            rest,
            index=None,
            placeholder="Choose one",
            format_func=lambda label: f"{label}, converted" if label == off else label,
            key=forms.other_choice(family).key,
            on_change=_choose,
            args=(family,),
            persist_state="session",
            help=_help([known[label] for label in rest]),
        )
    chosen = known.get(_label(family))
    if chosen:
        st.caption(formatting.plain(said(chosen)))
    return chosen.pass_name if chosen else ""


def said(choice: Choice) -> str:
    """One line on what a choice does."""
    kind = catalogue()[choice.pass_name]
    return kind.presets_say.get(choice.label, kind.help)


def stored_as(model: ModelSummary | None) -> str:
    """What a model that is left alone is: "fp32" if its largest layer is stored so."""
    largest = max(model.layers if model else (), key=lambda layer: layer.parameters, default=None)
    if model is None or model.quantized or largest is None or not largest.parameters:
        return AS_IT_IS
    return STORED.get(round(largest.size_bytes / largest.parameters), AS_IT_IS)


def load(recipe: Recipe) -> None:
    """Set the control of every family to what a recipe holds; the parameters are set already."""
    for family in families(catalogue()):
        _stand(family, plain([choice.label for choice in choices(family)]))


def standing_choice(family: str) -> str:
    """The choice that the switches and parameters stand at: the closest of the pass that is on."""
    on = _on(family)
    mine = [choice for choice in choices(family) if on and choice.pass_name == on[-1]]
    if not mine:
        return AS_IT_IS
    return max(mine, key=_fits).label


def _fits(choice: Choice) -> int:
    known = parameters(catalogue()[choice.pass_name])
    return sum(
        forms.parameter(choice.pass_name, name, known[name][0]).get() == value
        for name, value in choice.params.items()
    )


def _stand(family: str, row: list[str]) -> None:
    """Set the control to what the switches stand at."""
    standing = standing_choice(family)
    in_row = standing == AS_IT_IS or standing in row
    forms.choice(family).set(standing if in_row else OTHER)
    if not in_row:
        forms.other_choice(family).set(standing)


def _is_stale(family: str, known: Mapping[str, Choice], row: list[str]) -> bool:
    """Whether the control says nothing that it can say here, or the switches were set otherwise."""
    if forms.choice(family).get() not in (AS_IT_IS, OTHER, *row):
        return True
    chosen = known.get(_label(family))
    on = _on(family)
    return [chosen.pass_name] != on[-1:] if chosen else bool(on)


def _choose(family: str) -> None:
    """Switch the chosen pass on with its preset, the others off."""
    for name in families(catalogue())[family]:
        forms.switch(name).set(False)
    for choice in choices(family):
        if choice.label == _label(family):
            forms.switch(choice.pass_name).set(True)
            for name, value in choice.params.items():
                forms.parameter(choice.pass_name, name).set(value)


def _label(family: str) -> str:
    """The choice that the control says; nothing where "other …" is still to be chosen."""
    label = forms.choice(family).get()
    return str((forms.other_choice(family).get() if label == OTHER else label) or "")


def _on(family: str) -> list[str]:
    return [n for n in families(catalogue())[family] if forms.switch(n).get()]


def _help(shown: list[Choice]) -> str:
    """What each does, so that one can choose before one clicks."""
    return "\n\n".join(f"**{choice.label}**: {said(choice)}" for choice in shown)
