"""Which recipes a sweep tries: every combination of a grid, or a list of one's own.

The grid is made from the passes themselves. A pass with a share (prune ratio) is varied over it;
one with choices over them; any other is off or on. Passes of one family exclude each other and are
one axis, with their presets as its values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.records import ModelSummary, Recipe, Step
from core.workspace.passes import Parameter, Pass, catalogue, parameters
from pages.widgets import form_state, formatting, precision_control, recipe_form

MODE, LIST = "explore.mode", "explore.list"
GRID_MODE, LIST_MODE = "Grid", "List"
MOST_RECIPES = 200
START_SHARES = ("30 %", "50 %")
START_ARITHMETIC = "int8 safe"


@dataclass(frozen=True, slots=True)
class Variant:
    """One value of an axis: the step that it adds, if any."""

    name: str
    label: str
    step: Step | None
    needs_data: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What a grid varies: one pass, or the arithmetic."""

    name: str
    label: str
    help: str
    variants: tuple[Variant, ...]
    start: tuple[str, ...]


def show(model: ModelSummary, has_calibration: bool) -> tuple[Recipe, ...]:
    """Draw the grid or the list; the recipes that they stand for, without the original."""
    form_state.fill_forms(None)
    mode = st.segmented_control(
        "Recipes",
        [GRID_MODE, LIST_MODE],
        default=GRID_MODE,
        required=True,
        key=MODE,
        persist_state="session",
    )
    off = precision_control.stored_as(model)
    return grid(has_calibration, off) if mode == GRID_MODE else chosen_list(model)


def grid(has_calibration: bool, off: str = precision_control.AS_IT_IS) -> tuple[Recipe, ...]:
    """One row of pills per axis; every combination is a recipe.

    Args:
        has_calibration: without it, what needs images is not offered.
        off: what leaving the model's arithmetic alone is called.
    """
    axes = axes_of(catalogue())
    picked: list[Sequence[Variant]] = []
    dropped: list[str] = []
    for axis in axes:
        usable = [v for v in axis.variants if has_calibration or not v.needs_data]
        dropped += [v.label for v in axis.variants if v not in usable]
        picked.append(_pills(axis, usable, off))
    if dropped:
        st.caption(f"Needs calibration images: {formatting.plain(', '.join(dropped))}.")
    return combine(picked)


def chosen_list(model: ModelSummary) -> tuple[Recipe, ...]:
    """Recipes added one by one from the switches that Optimize has too."""
    known: dict[str, Recipe] = st.session_state.setdefault(LIST, {})
    recipe_form.show(model)
    if st.button("Add this recipe", key="explore.add", width="stretch"):
        recipe = recipe_form.current()
        if recipe.steps:
            known[recipe.name] = recipe
            st.session_state["explore.kept"] = list(known)
    if not known:
        st.caption("Set the switches, add the recipe, and so on; then start.")
        return ()
    st.session_state.setdefault("explore.kept", list(known))
    kept = st.multiselect(
        "Recipes of the sweep", list(known), key="explore.kept", persist_state="session"
    )
    return tuple(known[name] for name in kept)


def axes_of(passes: Mapping[str, type[Pass]]) -> list[Axis]:
    """The axes of a grid over these passes."""
    started = {step.pass_name for step in form_state.START.steps}
    swept = False
    axes: list[Axis] = []
    for name, kind in passes.items():
        if kind.family:
            continue
        variants = _variants(name, kind)
        start = (variants[0].name,) if name in started else ("off",)
        opening_shares = tuple(v.name for v in variants if v.label in START_SHARES)
        if opening_shares and not swept:
            start, swept = ("off", *opening_shares), True
        axes.append(
            Axis(name, kind.label, kind.help, (Variant("off", "off", None), *variants), start)
        )
    about = "Of these, one at a time; each is tried on every combination above."
    for family, members in precision_control.families(passes).items():
        variants = [Variant("none", precision_control.AS_IT_IS, None)]
        variants += [
            _variant(name, passes[name], {**passes[name]().step().params, **params}, label)
            for name in members
            for label, params in passes[name].presets.items()
        ]
        axes.append(Axis(family, family, about, tuple(variants), _start(variants)))
    return axes


def combine(picked: Iterable[Sequence[Variant]]) -> tuple[Recipe, ...]:
    """Every combination as a recipe in the order of the passes; the original is left out."""
    order = list(catalogue())
    recipes: dict[str, Recipe] = {}
    for choice in itertools.product(*(variants or (_NOTHING,) for variants in picked)):
        steps = [variant.step for variant in choice if variant.step is not None]
        steps.sort(key=lambda step: order.index(step.pass_name))
        if steps:
            recipe = Recipe(recipe_form.title(tuple(steps)), tuple(steps))
            recipes.setdefault(repr(recipe.steps), recipe)
    return tuple(_named_apart(list(recipes.values())))


_NOTHING = Variant("off", "off", None)


def _named_apart(recipes: list[Recipe]) -> list[Recipe]:
    """No two recipes with one name: the second gets a number."""
    seen: dict[str, int] = {}
    apart = []
    for recipe in recipes:
        seen[recipe.name] = seen.get(recipe.name, 0) + 1
        count = seen[recipe.name]
        apart.append(Recipe(f"{recipe.name} ({count})", recipe.steps) if count > 1 else recipe)
    return apart


def _start(variants: list[Variant]) -> tuple[str, ...]:
    """The arithmetic as it is, and the one that is most often asked for."""
    return ("none", *(v.name for v in variants if v.label == START_ARITHMETIC))


def _variants(name: str, kind: type[Pass]) -> list[Variant]:
    visible = {p: v for p, v in parameters(kind).items() if not v[1].expert}
    base = kind().step().params
    for parameter, (default, about) in visible.items():
        if recipe_form.is_slider(default, about) and isinstance(default, float):
            return [
                _variant(
                    name, kind, {**base, parameter: stop}, recipe_form.number_text(stop, about)
                )
                for stop in _stops(default, about)
            ]
    for parameter, (_, about) in visible.items():
        if about.choices:
            return [
                _variant(name, kind, {**base, parameter: choice}, choice)
                for choice in about.choices
            ]
    return [_variant(name, kind, dict(base), "on")]


def _variant(name: str, kind: type[Pass], params: Mapping[str, object], label: str) -> Variant:
    return Variant(f"{name}.{label}", label, Step(name, params), kind.needs_data)


def _stops(default: float, about: Parameter) -> list[float]:
    """The values of a number that are worth a try: shares in tenths, others around the default."""
    low, high = about.low or 0.0, about.high or 1.0
    if recipe_form.is_share(about):
        return [tenth / 10 for tenth in range(1, 9) if low <= tenth / 10 <= high]
    return [factor * default for factor in (0.5, 1.0, 1.5, 2.0) if low < factor * default <= high]


def _pills(axis: Axis, usable: Sequence[Variant], off: str) -> Sequence[Variant]:
    by_name = {variant.name: variant for variant in usable}
    key = f"explore.axis.{axis.name}"
    if key not in st.session_state:
        st.session_state[key] = [name for name in axis.start if name in by_name]
    shown = _in_the_row(axis, by_name, off)
    fitting = [name for name in st.session_state[key] if name in shown]
    if fitting != st.session_state[key]:  # what is set anew undoes a click made meanwhile
        st.session_state[key] = fitting
    names = st.pills(
        axis.label,
        shown,
        selection_mode="multi",
        format_func=lambda name: _called(by_name.get(name), off) or name,
        key=key,
        help=axis.help,
        persist_state="session",
    )
    if len(shown) < len(by_name):
        names = [*names, *_others(axis, by_name, shown)]
    return [by_name[name] for name in names if name in by_name]


def _called(variant: Variant | None, off: str) -> str:
    """What a value says; leaving the arithmetic alone is called what the model is stored as."""
    label = variant.label if variant is not None else ""
    return off if label == precision_control.AS_IT_IS else label


def _in_the_row(axis: Axis, by_name: Mapping[str, Variant], off_name: str) -> list[str]:
    """All values of a pass; of a family off and the plain ones."""
    if axis.name not in precision_control.families(catalogue()):
        return list(by_name)
    row = precision_control.plain([variant.label for variant in by_name.values()], off_name)
    by_label = {variant.label: name for name, variant in by_name.items()}
    off = [name for name, variant in by_name.items() if variant.step is None]
    return [*off, *(by_label[label] for label in row if by_label[label] not in off)]


def _others(axis: Axis, by_name: Mapping[str, Variant], shown: Sequence[str]) -> list[str]:
    """The values that are not in the row, in a list of their own."""
    return st.multiselect(
        f"Other {axis.label.lower()}",
        [name for name in by_name if name not in shown],
        format_func=lambda name: by_name[name].label if name in by_name else name,
        key=f"explore.axis.{axis.name}.other",
        placeholder="None",
        persist_state="session",
    )
