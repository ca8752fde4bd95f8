"""What a user asked to be compared, how far it is, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.records.goals import Goal
from core.records.measurements import Measurement
from core.records.models import ModelSummary
from core.records.recipes import Candidate, Recipe, StepReport
from core.records.targets import LOCAL, Host


class State(enum.Enum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its process died; what it measured is kept and it can go on
    FAILED = "failed"


LIVE = (State.QUEUED, State.RUNNING)  # a run that will have more to show


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """What a run shall answer: every recipe of one model on every backend.

    Attributes:
        title: shown in the list of runs and on the result card.
        model: digest of the admitted model.
        recipes: the baseline (no steps) is added in front if it is missing; where the run searches
            towards a goal, each that it tries is added behind.
        backends: `name` or `name:precision`.
        threads: latency is measured once for each; 0 means all cores.
        calibration, evaluation: digests of image sets; empty for none.
        images: evaluation images used at most; 0 means all.
        latency_budget_s: wall time for one pair (baseline, candidate) on one backend, at most.
        dims: sizes of open dimensions, at which the model is measured; its file keeps them open.
        device: where it is measured, by the name of the device.
        goal: what the run searches for by itself; None where it measures its recipes alone.
    """

    title: str
    model: str
    recipes: tuple[Recipe, ...]
    backends: tuple[str, ...]
    threads: tuple[int, ...] = (1,)
    calibration: str = ""
    evaluation: str = ""
    images: int = 0
    latency_budget_s: float = 12.0
    dims: Mapping[str, int] = field(default_factory=dict)
    device: str = LOCAL
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run is: `done` of `total` units, what it does now, seconds left if known."""

    state: State
    done: int = 0
    total: int = 0
    current: str = ""
    eta_s: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe: a candidate, or the reason why there is none.

    Attributes:
        failed: steps that were asked for and undone. A candidate without some of its steps says so
            in its recipe's name; where none held there is no candidate.
        late: given up for want of time; made again when the run goes on.
    """

    recipe: Recipe
    candidate: Candidate | None
    summary: ModelSummary | None = None
    reason: str = ""
    failed: tuple[StepReport, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Everything known of a run; `id` is unguessable, so it is its permalink.

    `outcomes[0]` is the baseline. Rows of `measurements` appear as they are measured; a row whose
    `condition` equals an earlier one's (same candidate, backend, metric) supersedes it.
    """

    id: str
    owner: str
    created: str
    spec: ExperimentSpec
    progress: RunProgress
    model: ModelSummary
    outcomes: tuple[Outcome, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of a run that stands still.

    Attributes:
        headline: the answer sentence.
        forecasts: how many forecasts of a cut it tried.
        held: how many of them held.
        speed: of its best recipe, in few words: "1.6× faster on OpenVINO".
        accuracy: likewise: "93.4 % (−0.4 points)".
        images: how many the accuracy is of.
        machine: that it was measured on.
    """

    headline: str
    forecasts: int = 0
    held: int = 0
    speed: str = ""
    accuracy: str = ""
    images: int | None = None
    machine: str = ""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run as a list shows it, without its numbers.

    Attributes:
        model: its name.
        answer: None where nobody worded it since the run last went on.
    """

    id: str
    owner: str
    created: str
    spec: ExperimentSpec
    progress: RunProgress
    model: str
    answer: Answer | None = None
