"""`measure`: size, accuracy and latency of model files side by side; the first is the baseline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli import why
from core.cli.inputs import (
    MODEL,
    add_model_options,
    admit_data,
    as_asked,
    dims_of,
    through_gate,
)
from core.cli.result import Result, table
from core.cli.sizes import add_at_option, at_sizes, ignored
from core.cli.telling import guessed_pixels, unscored
from core.errors import BackendUnavailable
from core.records import DataSummary, ExperimentSpec, Host, Json, Measurement, ModelSummary, to_json
from core.records.targets import LOCAL
from core.workspace import Workspace
from core.workspace.facts import METRICS, check_backend, check_device, definitions, reference
from core.workspace.inputs import shape_text

SHOWN = (
    "size_bytes", "parameters", "macs", *definitions(), "latency_ms", "latency_ratio", "load_ms",
    "first_ms", "peak_memory_bytes",
)  # fmt: skip
DEFAULT_BACKEND = reference()


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "measure", help="size, accuracy and latency; the first model is the baseline"
    )
    command.add_argument("models", type=Path, metavar="MODEL", nargs="+", help=MODEL)
    command.add_argument(
        "--data", type=Path, metavar="DATA", help="images that accuracy is measured on"
    )
    command.add_argument(
        "--why", action="store_true", help="layer times beside the baseline's, and the causes"
    )
    add_measure_options(command)
    add_model_options(command)
    add_at_option(command)
    command.set_defaults(run=run)


def add_measure_options(command: argparse.ArgumentParser) -> None:
    """On what, with how many threads and for how long."""
    command.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="backend, backend:precision, either with @FORMAT for another kind of file "
        f"(repeatable; default {DEFAULT_BACKEND})",
    )
    command.add_argument(
        "--device",
        default=LOCAL,
        metavar="NAME",
        help=f"where it runs; `devices` lists them (default {LOCAL})",
    )
    command.add_argument(
        "--threads",
        action="append",
        type=int,
        default=[],
        metavar="N",
        help="latency with N threads, 0 for all cores (repeatable; default 1)",
    )
    command.add_argument(
        "--images", type=int, default=0, metavar="N", help="score on the first N images only"
    )
    command.add_argument(
        "--budget-s",
        type=float,
        default=12.0,
        metavar="S",
        help="seconds for one latency comparison, at most (default 12)",
    )


def backends_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The backends asked for, each known, on a device that is.

    Raises:
        BackendUnavailable: no backend, or no precision, of that name.
        DeviceUnavailable: no such device.
    """
    check_device(options.device)
    names = tuple(dict.fromkeys(options.backend or [DEFAULT_BACKEND]))
    for name in names:
        check_backend(name)
    if any(threads < 0 for threads in options.threads):
        raise BackendUnavailable("--threads: give 0 for all cores, or a number of threads.")
    return names


def threads_of(options: argparse.Namespace) -> tuple[int, ...]:
    """The thread counts asked for."""
    return tuple(dict.fromkeys(options.threads or [1]))


def run(options: argparse.Namespace) -> Result:
    """Admit the models, measure every unit, answer with all rows.

    Raises:
        CoreError: bad models, data or names.
    """
    backends = backends_of(options)
    with Workspace.passing(options.child) as workspace:
        data = admit_data(workspace, options.data)
        summaries = at_sizes(_admitted(workspace, options), data, options)
        models = _named(options.models, summaries)
        rows = _measure(workspace, options, backends, models, data)
        asked = models, backends, threads_of(options), options.device
        told = why.ask(workspace, *asked) if options.why else []
        machine = workspace.runs.host(options.device)
    names = {summary.digest: name for name, summary in models}
    found, text = _data(machine, models, rows), _text(names, rows)
    if options.why:
        found["causes"] = [why.as_json(one) for one in told]
        text = "\n\n".join([text, *map(why.as_text, told)])
    return Result(found, text)


def _admitted(workspace: Workspace, options: argparse.Namespace) -> list[ModelSummary]:
    """Every file, with `--freeze` where it has the dimension.

    Raises:
        CoreError: a file is refused, or none has a dimension that shall be frozen.
    """
    models, dims = [through_gate(workspace, path) for path in options.models], dims_of(options)
    ignored(dims, models, "--freeze")
    return [
        as_asked(
            workspace, model, options, {k: v for k, v in dims.items() if k in model.dynamic_dims}
        )
        for model in models
    ]


def _measure(
    workspace: Workspace,
    options: argparse.Namespace,
    backends: tuple[str, ...],
    models: Sequence[tuple[str, ModelSummary]],
    data: DataSummary | None,
) -> Sequence[Measurement]:
    guessed_pixels(models[0][1], data)
    unscored(models[0][1], data)
    asked = ExperimentSpec(
        title=models[0][0],
        model=models[0][1].digest,
        recipes=(),
        backends=backends,
        threads=threads_of(options),
        evaluation=data.digest if data else "",
        images=options.images,
        latency_budget_s=options.budget_s,
        device=options.device,
    )
    return workspace.runs.compare(models, asked, _say)


def _say(label: str) -> None:
    print(f"lathe: {label}", file=sys.stderr, flush=True)


def _named(
    paths: Sequence[Path], summaries: Sequence[ModelSummary]
) -> list[tuple[str, ModelSummary]]:
    """Each distinct file once, under the name that the user gave it."""
    found: dict[str, tuple[str, ModelSummary]] = {}
    for path, summary in zip(paths, summaries, strict=True):
        found.setdefault(summary.digest, (str(path), summary))
    return list(found.values())


def row_json(row: Measurement, name: str) -> Json:
    """A row for scripts: every number with its unit in the key, its interval and its status."""
    metric = METRICS[row.metric]
    unit = METRIC_KEYS.get(metric.unit, "")
    return {
        "model": name,
        "digest": row.candidate,
        "backend": row.backend,
        "metric": row.metric,
        "unit": metric.unit,
        f"value{unit}": row.value,
        f"low{unit}": row.low,
        f"high{unit}": row.high,
        "status": row.status.value,
        "reason": row.reason,
        "target": to_json(row.target),
        "condition": dict(row.condition),
        "detail": to_json(row.detail),
    }


METRIC_KEYS = {"ms": "_ms", "B": "_bytes", "%": "_percent", "points": "_points", "dB": "_db"}


def _data(
    machine: Host, models: Sequence[tuple[str, ModelSummary]], rows: Sequence[Measurement]
) -> Json:
    names = {summary.digest: name for name, summary in models}
    return {
        "baseline": models[0][0],
        "host": to_json(machine),
        "models": [
            {
                "model": name,
                "digest": s.digest,
                "size_bytes": s.size_bytes,
                "macs": s.macs,
                "input": shape_text(s.inputs),
            }
            for name, s in models
        ],
        "rows": [row_json(row, names[row.candidate]) for row in rows],
    }


def _text(names: dict[str, str], rows: Sequence[Measurement]) -> str:
    lines = []
    for row in rows:
        if row.metric in SHOWN:
            threads = row.condition.get("threads", "")
            condition = f"{threads} thr" if threads else ""
            lines.append(
                (names[row.candidate], row.backend, row.metric, condition,
                 row.condition.get("input", ""), number(row), says(row))
            )  # fmt: skip
    return table(
        ("model", "backend", "metric", "threads", "input", "value", "95 % interval, verdict"), lines
    )


def number(row: Measurement) -> str:
    """The value with its unit, or the status that stands for it."""
    if row.value is None:
        return row.status.value
    unit = METRICS[row.metric].unit
    value = f"{row.value:.0f}" if unit in ("B", "") and row.value >= 100 else f"{row.value:.4g}"
    return f"{value} {unit}".strip()


def says(row: Measurement) -> str:
    """Interval, verdict and reason."""
    words = []
    if row.low is not None and row.high is not None and row.low != row.high:
        words.append(f"{row.low:.4g} .. {row.high:.4g}")
    words.append(str(row.detail.get("text", "")))
    if row.metric == "latency_ratio":
        words.append(str(row.detail.get("note", "")))
    words.append(row.reason)
    return "; ".join(word for word in words if word)
