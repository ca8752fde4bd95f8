"""What is expected before it is measured: sensitivities, forecasts and staircases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.records.notes import Note
from core.records.recipes import LayerEffect, Recipe


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What pruning costs a model, measured on calibration images; a forecast starts from it.

    Attributes:
        effects: of cutting each group of layers alone, at several shares.
        tolerance: (error of the outputs, percent of images that keep their answer), by error.
        familiar: whether the network seems to have been trained on the images, so that the
            tolerance is that of copies of them.
    """

    effects: tuple[LayerEffect, ...]
    tolerance: tuple[tuple[float, float], ...] = ()
    familiar: bool = False


@dataclass(frozen=True, slots=True)
class AccuracyForecast:
    """What is expected of a cut, with bounds; never a measurement.

    Attributes:
        agreement: percent of images that keep the original's answer.
        low, high: between which it is expected.
    """

    agreement: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NextStep:
    """A change of a recipe that is worth a try.

    Attributes:
        recipe: that it leads to.
        note: what is changed and why; `core.wording.suggested` has the words.
        forecast: of the accuracy, where there is one.
        lacks: the command that installs what it needs and is not here.
    """

    recipe: Recipe
    note: Note
    forecast: AccuracyForecast | None = None
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What to do next about a recipe on one backend.

    Attributes:
        standing: how it stands there, in a note.
        steps: the most promising first; none where nothing is left to try.
    """

    standing: Note
    steps: tuple[NextStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Hindsight:
    """A forecast beside what was then counted.

    Attributes:
        candidate: digest.
        expected: the forecast.
        agreement: percent of evaluation images with the original's answer.
        backend: where it was counted.
    """

    candidate: str
    expected: AccuracyForecast
    agreement: float
    backend: str = ""

    @property
    def held(self) -> bool:
        """Whether it lies in the forecast's interval, as far as it is printed."""
        low, high = round(self.expected.low, 1), round(self.expected.high, 1)
        return low <= round(self.agreement, 1) <= high


@dataclass(frozen=True, slots=True)
class Stair:
    """What the layers that a parameter changes take at one of its values, by the table of times.

    Attributes:
        at: the value.
        seconds: summed over the layers.
        low, high: 95 % interval of the sum.
        falls: whether it lies below that of every smaller value by more than the noise.
    """

    at: float
    seconds: float
    low: float
    high: float
    falls: bool = False


@dataclass(frozen=True, slots=True)
class Staircase:
    """Time against a parameter on one backend; an estimate from layers that were timed singly.

    Attributes:
        backend: `name` or `name:precision`.
        threads: 0 for all cores.
        stairs: by growing value; where not all values are timed, of those that are.
        layers: how many are summed.
        untimed: how many change as well and have no time.
        whole: whether every value is timed.
    """

    backend: str
    threads: int
    stairs: tuple[Stair, ...]
    layers: int
    untimed: int = 0
    whole: bool = True

    @property
    def steps(self) -> tuple[float, ...]:
        """The values at which time really falls."""
        return tuple(stair.at for stair in self.stairs if stair.falls)


@dataclass(frozen=True, slots=True)
class StaircaseQuestion:
    """Which layers are timed where: the recipes of all values of one parameter of a model.

    Attributes:
        model: digest.
        recipes: one for each value, up to the step with the parameter.
        stops: the values, growing.
        backends: `name` or `name:precision`.
        threads: 0 for all cores.
    """

    model: str
    recipes: tuple[Recipe, ...]
    stops: tuple[float, ...]
    backends: tuple[str, ...]
    threads: int = 1


@dataclass(frozen=True, slots=True)
class StaircaseState:
    """How far a question is answered.

    Attributes:
        staircases: of the backends of which at least two values are timed.
        missing: layer shapes not timed yet, over all backends; None while that is worked out.
        running: whether they are being timed now.
        done, total: how many of those that were missing.
        eta_s: seconds left; None if that cannot be said.
        busy: whether the times of another question are measured now.
        reasons: why there will be no staircase, by backend; under "" for all.
    """

    staircases: tuple[Staircase, ...] = ()
    missing: int | None = None
    running: bool = False
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    busy: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
