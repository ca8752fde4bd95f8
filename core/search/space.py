"""Search space: the axes that a sweep varies, and the grid of recipes that they span.

The axes are made from the passes themselves. A pass with a share (prune ratio) is varied over it;
one with choices over them; any other is off or on. Passes of one family exclude each other and are
one axis, with their presets as its values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.passes.base import Parameter, Pass, catalogue, parameters
from core.recipes import (
    is_share,
    joined,
    key,
    named_apart,
    number_text,
    recipe_of,
    step_title,
)
from core.records import Recipe, Step

SHARES = (0.2, 0.4)
START = Recipe("start", (Step("fold_batch_norm"),))
START_SHARES = ("30 %", "50 %")
START_CHOICE = "int8 safe"
OFF, NONE = "off", "none"
AS_IT_IS = "as it is"
STOPS = 21


@dataclass(frozen=True, slots=True)
class Variant:
    """One value of an axis: the step that it adds, if any."""

    name: str
    label: str
    step: Step | None
    needs_data: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What a grid varies: one pass, or one family of passes.

    Attributes:
        name: of the pass or the family.
        start: names of the variants that a new grid begins with.
    """

    name: str
    label: str
    help: str
    variants: tuple[Variant, ...]
    start: tuple[str, ...]


_NOTHING = Variant(OFF, OFF, None)


def default_grid(calibrated: bool, shares: Sequence[float] = SHARES) -> tuple[Recipe, ...]:
    """Fold, then every share of the cut of channels, each with every arithmetic.

    Args:
        calibrated: whether there are calibration images; passes that need them are left out else.
        shares: of channels to remove, between 0 and 1.
    """
    passes = catalogue()
    started = {step.pass_name for step in START.steps}
    picked = []
    for axis in axes_of(passes):
        if axis.name in families(passes):
            picked.append([v for v in axis.variants if calibrated or not v.needs_data])
        elif axis.name in started:
            picked.append([v for v in axis.variants if v.name in axis.start])
        elif axis.name == "prune_channels":
            kind = passes[axis.name]
            steps = [Step(axis.name, {**kind().step().params, "ratio": share}) for share in shares]
            picked.append([_NOTHING, *(Variant(axis.name, "", step) for step in steps)])
    return combine(picked)


def combine(picked: Iterable[Sequence[Variant]]) -> tuple[Recipe, ...]:
    """Every combination as a recipe in the order of the passes; the original is left out."""
    axes = [[_part(variant) for variant in variants] or [None] for variants in picked]
    found: dict[tuple[str, ...], Recipe] = {}
    for choice in itertools.product(*axes):
        parts = sorted((part for part in choice if part), key=lambda part: part.place)
        asked = tuple(part.key for part in parts)
        if parts and asked not in found:
            name = joined(part.title for part in parts)
            found[asked] = Recipe(name, tuple(part.step for part in parts))
    return named_apart(found.values())


@dataclass(frozen=True, slots=True)
class _Part:
    """A step with what tells and names it, asked once and not in each of thousands of recipes."""

    place: int
    key: str
    title: str
    step: Step


def _part(variant: Variant) -> _Part | None:
    step = variant.step
    if step is None:
        return None
    return _Part(list(catalogue()).index(step.pass_name), key((step,)), step_title(step), step)


def families(passes: Mapping[str, type[Pass]]) -> dict[str, list[str]]:
    """Family -> its passes."""
    found: dict[str, list[str]] = {}
    for name, kind in passes.items():
        if kind.family:
            found.setdefault(kind.family, []).append(name)
    return found


def axes_of(passes: Mapping[str, type[Pass]]) -> list[Axis]:
    """The axes of a grid over these passes."""
    started = {step.pass_name for step in START.steps}
    swept = False
    axes: list[Axis] = []
    for name, kind in passes.items():
        if kind.family:
            continue
        variants = _variants(name, kind)
        start: tuple[str, ...] = (variants[0].name,) if name in started else (OFF,)
        opening_shares = tuple(v.name for v in variants if v.label in START_SHARES)
        if opening_shares and not swept:
            start, swept = (OFF, *opening_shares), True
        axes.append(Axis(name, kind.label, kind.help, (_NOTHING, *variants), start))
    about = "Of these, one at a time; each is tried on every combination above."
    for family, members in families(passes).items():
        variants = [Variant(NONE, AS_IT_IS, None)]
        variants += [
            _variant(name, passes[name], {**passes[name]().step().params, **params}, label)
            for name in members
            for label, params in passes[name].presets.items()
        ]
        axes.append(Axis(family, family, about, tuple(variants), _start(variants)))
    return axes


def neighbours(recipe: Recipe) -> Iterator[Recipe]:
    """Every recipe that one move along a range of a parameter leads to."""
    for index, step in enumerate(recipe.steps):
        for name, (default, about) in parameters(catalogue()[step.pass_name]).items():
            for stop in stops(default, about):
                moved = Step(step.pass_name, {**step.params, name: stop})
                yield recipe_of((*recipe.steps[:index], moved, *recipe.steps[index + 1 :]))


def stops(default: Any, about: Parameter) -> list[Any]:
    """The values of a range, if they are few enough to be asked for ahead; experts' have none."""
    if about.expert or not is_range(default, about):
        return []
    low, high = about.low or 0, about.high or 0
    step = about.step or (1 if isinstance(default, int) else (high - low) / 20)
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > STOPS:
        return []
    return [type(default)(round(low + i * step, 9)) for i in range(count)]


def is_range(default: Any, about: Parameter) -> bool:
    """Whether a parameter is a number within two bounds."""
    number = isinstance(default, int | float) and not isinstance(default, bool)
    return number and about.low is not None and about.high is not None


def _start(variants: Sequence[Variant]) -> tuple[str, ...]:
    """The arithmetic as it is, and the one that is most often asked for."""
    return (NONE, *(v.name for v in variants if v.label == START_CHOICE))


def _variants(name: str, kind: type[Pass]) -> list[Variant]:
    visible = {p: v for p, v in parameters(kind).items() if not v[1].expert}
    base = kind().step().params
    for parameter, (default, about) in visible.items():
        if is_range(default, about) and isinstance(default, float):
            return [
                _variant(name, kind, {**base, parameter: value}, number_text(value, about))
                for value in _values(default, about)
            ]
    for parameter, (default, about) in visible.items():
        if about.choices and not isinstance(default, tuple):
            return [
                _variant(name, kind, {**base, parameter: choice}, choice)
                for choice in about.choices
            ]
    return [_variant(name, kind, dict(base), "on")]


def _variant(name: str, kind: type[Pass], params: Mapping[str, object], label: str) -> Variant:
    return Variant(f"{name}.{label}", label, Step(name, params), kind.needs_data)


def _values(default: float, about: Parameter) -> list[float]:
    """The values of a number that are worth a try: shares in tenths, others around the default."""
    low, high = about.low or 0.0, about.high or 1.0
    if is_share(about):
        return [tenth / 10 for tenth in range(1, 9) if low <= tenth / 10 <= high]
    return [factor * default for factor in (0.5, 1.0, 1.5, 2.0) if low < factor * default <= high]
