"""A recipe from the command line: a JSON file, or one option per pass made from the catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import recipes
from core.errors import PassPrecondition
from core.recipes import recipe_of
from core.records import Recipe, Step
from core.workspace.passes import Parameter, Pass, build, catalogue, parameters

# Short forms of what people switch on most, beside the option that every pass has.
QUANTIZE: Mapping[str, tuple[str, dict[str, Any]]] = {
    "int8": ("quantize_int8", {"goal": "safe"}),
    "int8-fastest": ("quantize_int8", {"goal": "fastest"}),
    "int8-stock": ("quantize_static", {}),
    "dynamic": ("quantize_dynamic", {}),
    "int4": ("quantize_weights", {"bits": "4"}),
}
# What may follow `int8:` after a number -> the goal, and the parameter that is the number.
LIMITS: Mapping[str, tuple[str, str]] = {
    "points": ("within_points", "points"),
    "ms": ("within_ms", "milliseconds"),
}


def add_recipe_options(command: argparse.ArgumentParser) -> None:
    """`--recipe`, the short forms, and one option for each pass."""
    command.add_argument("--recipe", type=Path, metavar="R.json", help="a recipe as JSON")
    command.add_argument("--fold-bn", action="store_true", help="short for --fold-batch-norm")
    command.add_argument(
        "--prune", type=float, metavar="RATIO", help="--prune-channels ratio=RATIO"
    )
    command.add_argument(
        "--prune-criterion",
        metavar="NAME",
        help="--prune-channels criterion=NAME: obs, activation (need --calibration), l1, l2",
    )
    command.add_argument(
        "--repair",
        action=argparse.BooleanOptionalAction,
        help="--prune-channels repair=true|false: refit what is left to the calibration images",
    )
    command.add_argument(
        "--budget",
        metavar="WHAT:SHARE",
        help="prune until at most SHARE is left of WHAT: macs, bytes, parameters or "
        "latency:BACKEND, as in latency:onnxruntime:0.7",
    )
    command.add_argument(
        "--replace",
        metavar="FORM:SPEEDUP",
        help="--replace-convolutions, for example spatial-svd:2.0, tucker2:1.5, best:2",
    )
    command.add_argument(
        "--quantize",
        metavar="KIND",
        help=f"8-bit arithmetic, or 4-bit weights: {', '.join(QUANTIZE)}; or the fastest int8 that "
        "loses at most so many points, as in int8:0.5points, or the most accurate within so many "
        "milliseconds, as in int8:3ms",
    )
    command.add_argument("--fp16", action="store_true", help="--convert-precision to fp16")
    group = command.add_argument_group("passes (each takes its parameters as name=value)")
    for name, kind in catalogue().items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"pass_{name}",
            nargs="*",
            metavar="name=value",
            help=f"{kind.help} Parameters: {_known(kind)}".replace("%", "%%"),
        )


def read_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe that the options describe; passes run in the catalogue's order.

    Raises:
        PassPrecondition: unreadable recipe, unknown pass or parameter, value out of range.
    """
    if options.recipe:
        return load_recipe(options.recipe)
    chosen: dict[str, dict[str, Any]] = {}
    for name, kind in catalogue().items():
        assignments = getattr(options, f"pass_{name}")
        if assignments is not None:
            chosen[name] = {k: _value(kind, k, v) for k, v in map(_split, assignments)}
    for name, params in _short_forms(options).items():
        chosen.setdefault(name, {}).update(params)
    steps = tuple(Step(name, chosen[name]) for name in catalogue() if name in chosen)
    for step in steps:
        build(step)
    return recipe_of(steps)


def load_recipe(path: Path) -> Recipe:
    """The recipe in a JSON file.

    Raises:
        PassPrecondition: it is not a recipe, or names an unknown pass or parameter.
    """
    try:
        with path.open("rb") as file:
            content = file.read(recipes.MOST_BYTES + 1)
    except OSError as error:
        raise PassPrecondition(f"{path} is not a readable recipe: {error.strerror}.") from error
    return recipes.read(content, str(path))


def _short_forms(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    chosen: dict[str, dict[str, Any]] = {}
    if options.fold_bn:
        chosen["fold_batch_norm"] = {}
    if pruning := _pruning(options):
        chosen["prune_channels"] = pruning
    if options.replace:
        chosen["replace_convolutions"] = _replacement(options.replace)
    if options.fp16:
        chosen["convert_precision"] = {"precision": "fp16"}
    if options.quantize:
        name, params = _quantization(options.quantize)
        chosen[name] = dict(params)
        pruning = chosen.get("prune_channels", {})
        if options.quantize.startswith("int8") and pruning.get("budget") == "latency":
            pruning["arithmetic"] = "int8"  # the kernels that will run are the ones to be timed
    return chosen


def _pruning(options: argparse.Namespace) -> dict[str, Any]:
    """What the short forms say of `prune_channels`."""
    params: dict[str, Any] = {}
    if options.prune is not None:
        params["ratio"] = options.prune
    if options.prune_criterion:
        params["criterion"] = options.prune_criterion
    if options.repair is not None:
        params["repair"] = options.repair
    if options.budget:
        params |= _budget(options.budget)
    return params


def _budget(text: str) -> dict[str, Any]:
    """`macs:0.7` or `latency:onnxruntime:0.7` as parameters.

    Raises:
        PassPrecondition: it is neither.
    """
    *front, share = text.split(":")
    kind, backend = (front or [""])[0], front[1:]
    number = _number(share)
    if isinstance(number, str) or not kind or (kind == "latency") != bool(backend):
        raise PassPrecondition(
            f"--budget {text!r}: write WHAT:SHARE, as in macs:0.7, or latency:BACKEND:SHARE, as "
            "in latency:onnxruntime:0.7."
        )
    named = {"backend": ":".join(backend)} if backend else {}
    return {"budget": kind, "target": number, **named}


def _quantization(text: str) -> tuple[str, dict[str, Any]]:
    """`int8`, `int4` and so on, or `int8:0.5points`, or `int8:3ms`, as a pass with parameters.

    Raises:
        PassPrecondition: it is none of these.
    """
    if text in QUANTIZE:
        return QUANTIZE[text]
    kind, _, limit = text.partition(":")
    for unit, (goal, name) in LIMITS.items():
        number = _number(limit.removesuffix(unit))
        if kind == "int8" and limit.endswith(unit) and not isinstance(number, str):
            return "quantize_int8", {"goal": goal, name: number}
    raise PassPrecondition(
        f"--quantize {text!r}: it takes one of {', '.join(QUANTIZE)}, or int8 with a limit, as in "
        "int8:0.5points or int8:3ms."
    )


def _replacement(text: str) -> dict[str, Any]:
    """Read "spatial-svd:2.0"; without a speed-up, the pass's own."""
    form, _, speedup = text.partition(":")
    params: dict[str, Any] = {"form": form.replace("-", "_")}
    return params | ({"speedup": _number(speedup)} if speedup else {})


def _split(assignment: str) -> tuple[str, str]:
    name, equals, text = assignment.partition("=")
    if not equals:
        raise PassPrecondition(f"{assignment!r}: write a parameter as name=value.")
    return name, text


def _value(kind: type[Pass], name: str, text: str) -> Any:
    known = parameters(kind)
    if name not in known:
        return text  # `build` says which names exist
    default = known[name][0]
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, tuple):
        return tuple(part for part in text.split(",") if part)
    if isinstance(default, int | float):
        return _number(text)
    return text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _known(kind: type[Pass]) -> str:
    def describe(name: str, default: Any, about: Parameter) -> str:
        choices = f" of {'|'.join(about.choices)}" if about.choices else ""
        return f"{name}={default}{choices}"

    return "; ".join(describe(n, d, a) for n, (d, a) in parameters(kind).items()) or "none."
