"""Recipe identity: when two recipes ask for the same, and what a recipe is called.

Two recipes are the same if they run the same passes in the same order with the same parameters,
whatever they are called and whichever parameters they leave to their defaults. A recipe's name is
made of its passes, or of the plain choices that they are (int8 safe), each with the first of its
numbers that counts for anything (Prune channels 30 %).

It lies above the passes, which know defaults and labels, and below all that makes recipes or looks
for one: pipeline, search, runs, charts, command line, pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from core.errors import CoreError, PassPrecondition
from core.passes.base import Parameter, Pass, build, catalogue, parameters
from core.records import Recipe, Step, from_json, parse_json, to_json

ORIGINAL = "original"
MOST_BYTES = 64 << 10  # of a recipe's file: room for a thousand names of layers
FORM = '{"name": "…", "steps": [{"pass_name": "…", "params": {…}}]}'
K = TypeVar("K")


def original() -> Recipe:
    """The recipe that changes nothing: the baseline of every run."""
    return Recipe(ORIGINAL)


def recipe_of(steps: Sequence[Step]) -> Recipe:
    """A recipe of these steps under the name that follows from them."""
    return Recipe(title(steps), tuple(steps))


def canonical(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with every parameter spelled out; one that no pass takes stays as it is."""
    return tuple(map(_complete, steps))


def key(steps: Iterable[Step]) -> str:
    """What steps ask for: equal where they ask for the same."""
    return json.dumps(to_json(canonical(steps)), sort_keys=True)


def same(first: Recipe, second: Recipe) -> bool:
    """Whether two recipes ask for the same."""
    return key(first.steps) == key(second.steps)


def _complete(step: Step) -> Step:
    try:
        return build(step).step()
    except CoreError:
        return step


def brief(recipe: Recipe) -> Recipe:
    """The same recipe without the parameters that stand at their defaults."""
    return Recipe(recipe.name, tuple(map(_brief, recipe.steps)))


def _brief(step: Step) -> Step:
    kind = catalogue().get(step.pass_name)
    known = parameters(kind) if kind else {}
    changed = {
        name: value
        for name, value in step.params.items()
        if name not in known or value != known[name][0]
    }
    return Step(step.pass_name, changed)


def understood(recipe: Recipe) -> Recipe:
    """The recipe without the steps that no pass of this version takes."""
    return Recipe(recipe.name, tuple(step for step in recipe.steps if _is_understood(step)))


def _is_understood(step: Step) -> bool:
    try:
        build(step)
    except CoreError:
        return False
    return True


def written(recipe: Recipe) -> str:
    """A recipe as the file that `read` and the command line take."""
    return json.dumps(to_json(recipe), indent=2, ensure_ascii=False)


def read(content: bytes, name: str) -> Recipe:
    """The recipe in a file from anywhere: checked step by step, nothing of it is run.

    Args:
        content: JSON, as `written` makes it.
        name: of the file, for the error.

    Raises:
        PassPrecondition: it holds no recipe, or a pass, parameter or value that is not known.
    """
    if len(content) > MOST_BYTES:
        raise PassPrecondition(
            f"{name} is too large for a recipe: {len(content) / 1e3:,.0f} kB, and at most "
            f"{MOST_BYTES / 1e3:.0f} kB are read."
        )
    try:
        data = parse_json(content)
    except ValueError as error:
        raise PassPrecondition(f"{name} is not a readable recipe: no JSON ({error}).") from error
    try:
        recipe = from_json(Recipe, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PassPrecondition(f"{name} is not a readable recipe, which is {FORM}.") from error
    for step in recipe.steps:
        build(step)
    return recipe


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps in the order of the passes, as the form runs them."""
    places = list(catalogue())
    return tuple(sorted(steps, key=lambda step: places.index(step.pass_name)))


def title(steps: Iterable[Step]) -> str:
    """A recipe's name: its passes, or the plain choices that they are, with a number each."""
    return joined(map(step_title, steps)) or ORIGINAL


def joined(titles: Iterable[str]) -> str:
    """The names of steps as that of a recipe."""
    return " + ".join(titles)


def name_of(recipe: Recipe) -> str:
    """What a recipe is called where it is shown: its own name, and the baseline by one word."""
    return (recipe.name or title(recipe.steps)) if recipe.steps else ORIGINAL


def without(recipe: Recipe, missing: Sequence[str]) -> Recipe:
    """The recipe under a name that promises nothing of what is missing; its steps stay."""
    if not missing:
        return recipe
    lacks = " and ".join(dict.fromkeys(missing))
    return Recipe(f"{recipe.name or 'recipe'} without {lacks}", recipe.steps)


def apart(names: Mapping[K, str]) -> dict[K, str]:
    """The same names, no two alike: the second of a kind gets a number.

    A select box hands back the text that was shown: of two alike it could only take the first.
    """
    found: dict[K, str] = {}
    taken, seen = set[str](), dict[str, int]()
    for which, name in names.items():
        shown = name
        while shown in taken:
            seen[name] = seen.get(name, 1) + 1
            shown = f"{name} ({seen[name]})"
        taken.add(shown)
        found[which] = shown
    return found


def named_apart(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """The same recipes, no two under one name."""
    every = tuple(recipes)
    names = apart({at: recipe.name for at, recipe in enumerate(every)})
    return tuple(Recipe(names[at], recipe.steps) for at, recipe in enumerate(every))


def distinct(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """The first of those that ask for the same, no two under one name."""
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        found.setdefault(key(recipe.steps), recipe)
    return named_apart(found.values())


def step_title(step: Step) -> str:
    """A pass with the first of its numbers that counts for anything: int8 within 1 points."""
    kind = catalogue().get(step.pass_name)
    if kind is None:
        return step.pass_name
    choice = preset_of(step)
    for name, (default, about) in parameters(kind).items():
        value = step.params.get(name, default)
        number = isinstance(default, int | float) and type(default) is not bool
        if about.expert or not number or not has_effect(about, step.params, kind):
            continue
        if choice and not value:
            break  # nothing is asked for
        short = choice.removesuffix(about.unit).strip() if about.unit else choice
        return " ".join(
            [short or kind.label, *_which(about, step.params, kind), number_text(value, about)]
        )
    return choice or kind.label


def preset_of(step: Step) -> str:
    """What the plain choice is called that a step stands for; empty where none is."""
    kind = catalogue()[step.pass_name]
    for label, preset in kind.presets.items():
        known = {name: step.params.get(name, parameters(kind)[name][0]) for name in preset}
        if known == dict(preset):
            return label
    return ""


def has_effect(about: Parameter, params: Mapping[str, Any], kind: type[Pass]) -> bool:
    """Whether a parameter has an effect beside the others."""
    if about.only_with is None:
        return True
    other, values = about.only_with
    default, _ = parameters(kind)[other]
    return params.get(other, default) in values


def _which(about: Parameter, params: Mapping[str, Any], kind: type[Pass]) -> list[str]:
    """What a number is of, where it counts only beside another parameter: macs to (60 %)."""
    if about.only_with is None or kind.family:
        return []
    other, _ = about.only_with
    default, named = parameters(kind)[other]
    value = params.get(other, default)
    return [] if value == default else [f"{named.names.get(value, value)} to"]


def number_text(value: Any, about: Parameter) -> str:
    """A parameter's number with its unit."""
    if is_share(about):
        return f"{100 * value:.0f} %"
    if about.unit == "x":
        return f"{value:g}×"
    return f"{value:g} {about.unit}".strip()


def is_share(about: Parameter) -> bool:
    """Whether a number is a part of a whole."""
    return about.low is not None and about.high is not None and 0 <= about.low < about.high <= 1
