"""Recipe in words: each step by its plain name, with every parameter that is not its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import CoreError
from core.passes.base import Parameter, Pass, build, catalogue, parameters
from core.recipes import ORIGINAL, has_effect, number_text, preset_of, step_title
from core.records import Recipe, Step

LISTED = 3  # layers that are named; of more their number is said, and the file lists them


def steps_in_words(recipe: Recipe) -> tuple[str, ...]:
    """A line for each step: "Prune channels 30 % (ranking l2, repair off)"."""
    return tuple(map(step_in_words, recipe.steps)) or (ORIGINAL,)


def step_in_words(step: Step) -> str:
    """One step, as whole as its parameters are."""
    try:
        build(step)
    except CoreError:  # of another version, or from a file that lies: as it stands
        title = step.pass_name
        said = [f"{name}: {value}" for name, value in step.params.items()]
    else:
        title = step_title(step)
        said = _differing(step, catalogue()[step.pass_name], title)
    return f"{title} ({', '.join(said)})" if said else title


def _differing(step: Step, kind: type[Pass], title: str) -> list[str]:
    preset: Mapping[str, Any] = kind.presets.get(preset_of(step), {})
    found = []
    for name, value in step.params.items():
        default, about = parameters(kind).get(name, (None, Parameter(name, "")))
        if _equal(value, default) or name in preset or not has_effect(about, step.params, kind):
            continue
        words = _value(value, about)
        if words not in title:
            found.append(f"{about.label[:1].lower()}{about.label[1:]}: {words}")
    return found


def _equal(value: Any, default: Any) -> bool:
    """Whether a value is the default; JSON has lists where passes have tuples."""
    return value == default or (isinstance(value, list) and tuple(value) == default)


def _value(value: Any, about: Parameter) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return number_text(value, about)
    if isinstance(value, list | tuple):
        some = len(value) <= LISTED
        return " ".join(map(str, value)) if some else f"{len(value):,} layers"
    return str(value).replace("_", " ")
