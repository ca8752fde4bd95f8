"""What every pass promises, whatever it does: asked of the whole catalogue."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import PassPrecondition
from core.passes import base
from core.passes.base import Pass, build, catalogue, identifier, parameters
from core.records import Recipe, Step, from_json, to_json

PASSES = sorted(catalogue())
PARAMETERS = [(name, p) for name in PASSES for p in parameters(catalogue()[name])]
FOLDER = Path(base.__file__).parent


def other(default: Any, about: base.Parameter) -> Any:
    """A value that the parameter may have besides its default."""
    if isinstance(default, tuple) and about.choices:
        return about.choices[:1]
    if about.choices:
        return next(choice for choice in about.choices if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return ("stem", "head")
    return type(default)(about.low if default != about.low else about.high)


def changed(kind: type[Pass]) -> Pass:
    return kind(**{n: other(d, a) for n, (d, a) in parameters(kind).items()})


def test_every_file_is_a_pass_and_every_pass_has_its_test():
    files = {p.stem for p in FOLDER.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert files - {"__init__", "base"} == set(PASSES)
    tested = {p.stem.removeprefix("test_") for p in Path("tests/passes").glob("test_*.py")}
    assert set(PASSES) <= tested


@pytest.mark.parametrize("name", PASSES)
def test_it_goes_through_json_and_back(name: str):
    kind = catalogue()[name]
    assert identifier(kind) == name
    for one in (kind(), changed(kind)):
        recipe = Recipe("r", (one.step(),))
        read = from_json(Recipe, json.loads(json.dumps(to_json(recipe))))
        assert build(read.steps[0]) == one
        assert build(read.steps[0]).step() == one.step()


@pytest.mark.parametrize("name", PASSES)
def test_it_explains_itself(name: str):
    kind = catalogue()[name]
    module = importlib.import_module(f"core.passes.{name}")
    assert kind.label
    assert kind.label[0].isupper()
    assert kind.help.endswith(".")
    assert kind.help != kind.label
    assert kind.gives
    assert kind.limits
    assert inspect.getdoc(kind) != inspect.getdoc(Pass)
    assert (module.__doc__ or "").split("\n")[0].endswith(".") or "\n" in (module.__doc__ or "")
    assert 0 < kind.order < 100


def test_labels_and_places_tell_passes_apart():
    kinds = [catalogue()[name] for name in PASSES]
    assert len({kind.label for kind in kinds}) == len(kinds)
    assert len({kind.order for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("name", PASSES)
def test_it_is_a_frozen_dataclass_whose_fields_are_its_parameters(name: str):
    kind = catalogue()[name]
    assert {f.name for f in dataclasses.fields(kind)} == set(parameters(kind))
    assert hash(kind()) == hash(kind())
    for field in parameters(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), field, None)


@pytest.mark.parametrize(("name", "field"), PARAMETERS)
def test_a_parameter_has_label_help_and_range(name: str, field: str):
    default, about = parameters(catalogue()[name])[field]
    assert about.label
    assert about.help.endswith(".")
    if isinstance(default, str):
        assert default in about.choices
        assert len(set(about.choices)) == len(about.choices) > 1
    elif isinstance(default, int | float) and not isinstance(default, bool):
        assert about.low is not None
        assert about.high is not None
        assert about.low <= default <= about.high
        assert about.step is None or 0 < about.step <= about.high - about.low
    else:
        assert isinstance(default, bool | tuple)


def wrong(default: Any, about: base.Parameter) -> list[Any]:
    """Values that must be refused."""
    if isinstance(default, tuple) and about.choices:
        return ["nonsense", 3, None, ["nonsense"]]
    if about.choices:
        return ["nonsense", 3, None, True]
    if isinstance(default, bool):
        return [1, "yes", None]
    if isinstance(default, tuple):
        return ["stem", 3, None, [1, 2]]
    beyond = [about.low - 1, about.high + 1, float("nan"), "1", None, True]  # type: ignore[operator]
    return [*beyond, 1.5] if isinstance(default, int) else beyond


@pytest.mark.parametrize(("name", "field"), PARAMETERS)
def test_a_value_that_does_not_fit_is_refused_by_name(name: str, field: str):
    for value in wrong(*parameters(catalogue()[name])[field]):
        with pytest.raises(PassPrecondition, match=f"{name}.{field}"):
            build(Step(name, {field: value}))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(PassPrecondition, match="fold_batch_norm"):
        build(Step("fold"))
    with pytest.raises(PassPrecondition, match="ratio"):
        build(Step("prune_channels", {"share": 0.5}))


@pytest.mark.parametrize("name", PASSES)
def test_it_knows_no_other_pass_and_no_runtime(name: str):
    file = FOLDER / f"{name}.py"
    files = [file] if file.exists() else sorted((FOLDER / name).glob("*.py"))
    for module in files:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        found = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        found |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        passes = {n.split(".")[2] for n in found if n.startswith("core.passes.")}
        assert passes <= {"base", name}
        assert not any(
            n.startswith(("core.backends", "core.worker", "core.measure")) for n in found
        )
