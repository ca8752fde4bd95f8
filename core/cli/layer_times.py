"""Layer times for recipes whose budget is latency: measured before the passes run, kept for later.

They lie among the caches of LATHE_HOME, one table for each host, backend and thread count; a layer
shape that any model had before is not timed again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.cli.inputs import Bench
from core.experiment.home import Home
from core.measure import Setting, staircase
from core.records import ModelSummary, Recipe

LATENCY = "latency"
MULTIPLE = 8
FOLDER = "layer_times"


def add_timing_options(command: argparse.ArgumentParser) -> None:
    """On what the layers are timed."""
    command.add_argument(
        "--layers-on",
        default="onnxruntime",
        metavar="BACKEND",
        help="where layers are timed for a budget of latency (default onnxruntime)",
    )
    command.add_argument(
        "--layer-threads",
        type=int,
        default=1,
        metavar="N",
        help="threads that layers are timed with, 0 for all cores (default 1)",
    )


def timings_for(
    at: Bench, model: ModelSummary, recipe: Recipe, options: argparse.Namespace
) -> Path | None:
    """The table that the recipe's passes need, completed for this model; None if none asks.

    Raises:
        BackendUnavailable: no such backend, or it is not installed.
        WorkerError: the backend cannot be timed at all.
    """
    asking = [step for step in recipe.steps if step.params.get("budget") == LATENCY]
    if not asking:
        return None
    setting = Setting.of(options.layers_on, options.layer_threads)
    multiple = min(int(step.params.get("multiple", MULTIPLE)) for step in asking)
    chains = at.workshop.layer_chains(model.path, multiple)
    path = staircase.cache_path(Home.default().caches / FOLDER, setting)
    staircase.measure(chains, setting, path, at.workshop.micro_models, _told(setting))
    return path


def _told(setting: Setting) -> staircase.Told:
    def told(done: int, total: int) -> None:
        end = "\n" if done == total else "\r"
        print(f"timing layers on {setting.spec}: {done} of {total}", end=end, file=sys.stderr)

    return told
