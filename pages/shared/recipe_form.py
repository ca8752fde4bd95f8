"""The recipe as switches, made from the passes themselves: no pass is named here.

Each pass's fields carry their label, range and help (`core.passes.base.Parameter`); a switch, its
parameters and their expert part follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import streamlit as st

from core.charts import palette, steps
from core.recipes import has_effect, is_share, recipe_of
from core.records import ModelSummary, Recipe, Step
from core.search.space import families, is_range
from core.workspace.passes import Parameter, Pass, catalogue, parameters
from pages.shared import (
    formatting,
    images_needed,
    precision_control,
    recipe_history,
    snapping,
)
from pages.shared.field import Field
from pages.shared.state import forms

SHORT = 24  # letters of all choices together that fit in one row
Behind = Callable[[str, str], None]


def load(recipe: Recipe) -> None:
    """Set the switches to a recipe; call it before `show` in the same script run."""
    chosen = {step.pass_name: step for step in recipe.steps}
    for name, kind in catalogue().items():
        forms.switch(name).set(name in chosen)
        params = chosen[name].params if name in chosen else {}
        for parameter, (default, _) in parameters(kind).items():
            value = params.get(parameter, default)
            forms.parameter(name, parameter).set(_to_widget(default, value))
    precision_control.load(recipe)


def current() -> Recipe:
    """The recipe that the switches stand at."""
    steps = []
    for name, kind in catalogue().items():
        if forms.switch(name).get():
            steps.append(Step(name, dict(_values(name, kind))))
    return recipe_of(steps)


def show(
    model: ModelSummary,
    behind: Behind = lambda pass_name, parameter: None,
    images: int | None = None,
) -> Recipe:
    """Draw one switch per pass, one control per family, parameters while they are on.

    Args:
        model: whose layers can be named.
        behind: called after each visible slider has been drawn.
        images: to calibrate with; None if that does not matter.

    Returns:
        The recipe that they stand at.
    """
    for name, kind in catalogue().items():
        if kind.family:
            continue
        forms.switch(name).begin(False)
        if _switch(name, kind):
            _parameters(name, kind, model, behind, images)
    for family in families(catalogue()):
        if name := precision_control.show(family, model):
            _parameters(name, catalogue()[name], model, behind, images)
    standing = current()
    recipe_history.settle(standing)
    return standing


def _switch(name: str, kind: type[Pass]) -> bool:
    """The switch of a pass; where that cannot run here it only goes off, and says what it lacks."""
    lacks = kind.lacks()
    on = st.toggle(
        kind.label,
        key=forms.switch(name).key,
        help=kind.help,
        disabled=bool(lacks) and not forms.switch(name).get(),
        persist_state="session",
    )
    if lacks:
        with st.popover("Not installed: how to add it", type="tertiary"):
            st.code(lacks, language=None, wrap_lines=True)
    return on


def _parameters(
    name: str, kind: type[Pass], model: ModelSummary, behind: Behind, images: int | None
) -> None:
    """The parameters of a pass that is on; those for experts behind a button."""
    known = {p: v for p, v in parameters(kind).items() if p not in _preset(kind)}
    if not known:
        return
    with st.container(key=f"parameters_{name}", gap="xsmall"):
        images_needed.say(kind, images)
        for parameter, (default, about) in known.items():
            value = forms.parameter(name, parameter)
            value.begin(_to_widget(default, default))
            images_needed.settle(value, about, images)
        for parameter, (default, about) in known.items():
            if not about.expert and _has_effect(name, about):
                _widget(forms.parameter(name, parameter), default, about, model, images)
                if is_range(default, about):
                    behind(name, parameter)
        expert = {p: v for p, v in known.items() if v[1].expert}
        if expert:
            _say_kept(name, expert)
            with st.popover(f"More for {kind.label.lower()}", type="tertiary"):
                for parameter, (default, about) in expert.items():
                    _widget(forms.parameter(name, parameter), default, about, model, images)


def _say_kept(name: str, expert: Mapping[str, tuple[Any, Parameter]]) -> None:
    """The layers that were named, which are not to be seen otherwise: a click chose them."""
    for parameter, (default, about) in expert.items():
        chosen = forms.parameter(name, parameter).get()
        if isinstance(default, tuple) and chosen:
            st.caption(formatting.plain(f"{about.label}: {steps.named(chosen)}"))


def _has_effect(name: str, about: Parameter) -> bool:
    """Whether a parameter counts for anything as the others stand."""
    kind = catalogue()[name]
    return has_effect(about, dict(_values(name, kind)), kind)


def _preset(kind: type[Pass]) -> set[str]:
    """Parameters that the choices of the pass's family set."""
    return {name for params in kind.presets.values() for name in params}


def _values(name: str, kind: type[Pass]) -> Iterator[tuple[str, Any]]:
    for parameter, (default, _) in parameters(kind).items():
        value = forms.parameter(name, parameter, default).get()
        yield parameter, tuple(value) if isinstance(default, tuple) else value


def _to_widget(default: Any, value: Any) -> Any:
    if isinstance(default, tuple):
        return list(value)
    return type(default)(value) if isinstance(default, int | float | str) else value


def called(about: Parameter, choice: str) -> str:
    """What the form calls a choice; backends go by their names."""
    return about.names.get(choice) or palette.label(choice)


def _widget(
    value: Field[Any], default: Any, about: Parameter, model: ModelSummary, images: int | None
) -> None:
    """The widget that suits a parameter's type; it shows a field of the session."""
    label = f"{about.label} ({about.unit})" if about.unit and not is_share(about) else about.label
    common: Mapping[str, Any] = {"key": value.key, "help": about.help, "persist_state": "session"}
    choices = images_needed.offered(about, images)
    if isinstance(default, tuple):
        names = about.choices or [layer.name for layer in model.layers]
        options = list(dict.fromkeys([*names, *value.get()]))
        st.multiselect(label, options, format_func=lambda one: about.names.get(one, one), **common)
    elif choices:
        in_a_row = sum(len(called(about, choice)) for choice in about.choices) <= SHORT
        words: dict[str, Any] = {"format_func": lambda choice: called(about, choice)}
        if in_a_row:
            st.segmented_control(label, choices, required=True, **words, **common)
        else:
            st.selectbox(label, choices, **words, **common)
    elif isinstance(default, bool):
        st.checkbox(label, disabled=images_needed.is_locked(about, images), **common)
    elif is_range(default, about):
        kind = type(default)
        low, high = kind(about.low or 0), kind(about.high or 0)
        spread = {"min_value": low, "max_value": high}
        step = kind(about.step) if about.step else (1 if kind is int else (high - low) / 20)
        shown = "percent" if is_share(about) else None
        st.slider(
            label, step=step, format=shown, on_change=snapping.moved, args=(value,), **spread,
            **common,
        )  # fmt: skip
    elif isinstance(default, int | float):
        bounds: dict[str, Any] = {
            name: None if bound is None else type(default)(bound)
            for name, bound in (
                ("min_value", about.low),
                ("max_value", about.high),
                ("step", about.step),
            )
        }
        st.number_input(label, **bounds, **common)
    else:
        st.text_input(label, **common)
