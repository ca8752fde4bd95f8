"""The sample's own run: one sample model, one recipe, measured before anybody asks.

A newcomer sees what came of it before having a model at hand: what this installation measured by
itself (a run of nobody's, with little priority, that steps aside for any other), and until then
the record that ships with Lathe, which names the machine that it was measured on.
`python sample_models/measure.py` makes that record.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import replace
from pathlib import Path

from core.errors import StoreError
from core.recipes import recipe_of
from core.records import (
    Candidate,
    ExperimentSpec,
    Measurement,
    ModelSummary,
    Outcome,
    Run,
    Step,
    from_json,
    to_json,
)
from core.runs import samples

MODEL, BACKEND = "resnet", "onnxruntime"
RECIPE = recipe_of((Step("fold_batch_norm"), Step("quantize_int8")))
RECORD = samples.FOLDER / "measured.json"
VARIABLE = "LATHE_SAMPLE_RUN"
SHOWN = ("size_bytes", "latency_ms", "latency_ratio", "top1", "top1_delta")
DETAILS = ("verdict", "busy", "note")


def is_wanted() -> bool:
    """Whether this installation measures the sample by itself: `LATHE_SAMPLE_RUN=off` keeps it."""
    return os.environ.get(VARIABLE, "").lower() not in ("off", "0", "no")


def question(model: str, calibration: str, evaluation: str) -> ExperimentSpec:
    """What is measured: the recipe beside the original, on one backend and one thread.

    Args:
        model: digest of the sample.
        calibration: digest of the images for the passes.
        evaluation: digest of those that score.
    """
    return ExperimentSpec(
        title="Sample, measured by Lathe itself",
        model=model,
        recipes=(RECIPE,),
        backends=(BACKEND,),
        calibration=calibration,
        evaluation=evaluation,
    )


@functools.cache
def shipped() -> Run:
    """The record that ships with Lathe: a run on another machine, without an id to open it by.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return from_json(Run, json.loads(RECORD.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The record of the sample cannot be read: {error}.") from error


def record(run: Run) -> str:
    """A finished run as JSON, reduced to what is shown of it and to what its numbers hold for."""
    kept = replace(
        run,
        id="",
        owner="",
        model=_brief(run.model),
        outcomes=tuple(_outcome(one) for one in run.outcomes),
        measurements=tuple(_row(row) for row in run.measurements if row.metric in SHOWN),
    )
    return json.dumps(to_json(kept), indent=1) + "\n"


def _brief(model: ModelSummary) -> ModelSummary:
    return replace(model, path=Path(model.name), layers=(), advice=(), notes=())


def _outcome(outcome: Outcome) -> Outcome:
    made, summary = outcome.candidate, outcome.summary
    return replace(
        outcome,
        candidate=Candidate(made.digest, Path(made.path.name), made.recipe) if made else None,
        summary=_brief(summary) if summary else None,
    )


def _row(row: Measurement) -> Measurement:
    return replace(row, detail={name: row.detail[name] for name in DETAILS if name in row.detail})
