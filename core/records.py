"""Frozen records that cross a process or the disk.

Every record is a frozen dataclass with slots and round-trips through JSON by `to_json` and
`from_json`; nothing here knows a file format, a runtime or the screen.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Json = dict[str, Any]
R = TypeVar("R")


class Better(enum.Enum):
    """The direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"


class Status(enum.Enum):
    """What a row of the results is worth."""

    OK = "ok"
    UNSTABLE = "unstable"  # measured, but the interval stayed wider than the protocol asks for
    UNAVAILABLE = "unavailable"  # the backend or the data is not here: nothing was tried
    FAILED = "failed"  # it was tried and failed; `reason` says how


class Verdict(enum.Enum):
    """The answer in words to "is the candidate faster than the baseline?"."""

    FASTER = "faster"
    SAME = "same"
    SLOWER = "slower"
    NOT_ENOUGH_DATA = "not enough data"


class State(enum.Enum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its process died; what it measured is kept and it can go on
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity: its identifier, its unit as printed, and which way is better."""

    name: str
    unit: str
    better: Better


@dataclass(frozen=True, slots=True)
class Step:
    """One pass with its parameters."""

    pass_name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Passes in the order in which they run; no step at all is the baseline."""

    name: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """A node that a pass left alone, and why."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What changing one layer, or one group of layers, alone does to the model's outputs.

    Attributes:
        layers: the layers that are changed together.
        setting: what is done to them, as a person reads it ("25 %", "int8").
        error: of the outputs, squared, relative to their variance over the images.
        agreement: percent of the images with the original's answer; None if that is not known.
        share: of the layers' channels that were removed; 0 where none were.
        accuracy_lost: points of top-1 on these images; None if they have no labels.
    """

    layers: tuple[str, ...]
    setting: str
    error: float
    agreement: float | None = None
    share: float = 0.0
    accuracy_lost: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """How many channels a step removes from layers that share them."""

    layers: tuple[str, ...]
    removed: int
    channels: int


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What pruning costs a model, measured on calibration images; a forecast starts from it.

    Attributes:
        effects: of cutting each group of layers alone, at several shares.
        tolerance: (error of the outputs, percent of images that keep their answer), by error.
    """

    effects: tuple[LayerEffect, ...]
    tolerance: tuple[tuple[float, float], ...] = ()


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
class Hindsight:
    """A forecast beside what was then counted.

    Attributes:
        candidate: digest.
        expected: the forecast.
        agreement: percent of evaluation images with the original's answer.
    """

    candidate: str
    expected: AccuracyForecast
    agreement: float

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


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step of a recipe did.

    Attributes:
        step: the step that ran.
        changed: how many nodes or tensors it rewrote; what is counted is said by `notes`.
        skipped: what it left alone, each with its reason.
        notes: sentences for the user.
        reverted: why the step was undone; empty if it stands.
        seconds: wall time.
        effects: how sensitive the model is to the step, layer by layer, measured on calibration
            images.
        cuts: the channels that it removed.
    """

    step: Step
    changed: int = 0
    skipped: tuple[Skip, ...] = ()
    notes: tuple[str, ...] = ()
    reverted: str = ""
    seconds: float = 0.0
    effects: tuple[LayerEffect, ...] = ()
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file made by a recipe, named by the digest of its bytes."""

    digest: str
    path: Path
    recipe: Recipe
    report: tuple[StepReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The facts that make two numbers comparable."""

    cpu: str
    isa_flags: tuple[str, ...]
    cores: int
    os: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number, or the reason why there is none.

    Attributes:
        candidate: digest of the measured file.
        backend: `name` or `name:precision`; empty for what needs no backend (size).
        metric: name of the Metric.
        value: in the metric's unit; None unless status is OK or UNSTABLE.
        low, high: bounds of the 95 % interval; equal to value for what is exact.
        status: what the row is worth.
        reason: for a person; always there unless status is OK.
        clock: which clock or counter gave it ("perf_counter", "process_time", "exact", ...).
        host: digest of the Host record.
        condition: what else must be equal for two rows to be comparable (threads, data, baseline).
        detail: further facts of the same measurement (p90, p99, samples, flips, verdict).
    """

    candidate: str
    backend: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    status: Status
    reason: str = ""
    clock: str = "exact"
    host: str = ""
    condition: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How pixels become a model input: x = (pixel * scale - mean) / std.

    Attributes:
        color: "rgb", "bgr" or "gray".
        scale: factor on the 0..255 pixel.
        mean, std: one number per channel, or one for all.
        resize: (H, W) before the crop, bilinear; None keeps the image.
        crop: (H, W) taken from the centre; None keeps the image.
        resize_after_crop: (H, W), bilinear.
        layout: "NCHW" or "NHWC".
        dtype: "float32" or "uint8".
    """

    color: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    resize_after_crop: tuple[int, int] | None = None
    layout: str = "NCHW"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output; a dimension is a number, or the name (or "?") of a dynamic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One node that computes.

    Attributes:
        name: the node's name.
        kind: what a person calls it ("conv 3x3", "depthwise 3x3", "fully connected").
        op_type: ONNX operator.
        output_shape: with dynamic dimensions as in TensorSpec.
        parameters: elements of its constant inputs.
        macs: multiply-accumulates for one sample.
        size_bytes: bytes of its constant inputs.
        possible: what passes could do to it, or why they cannot.
    """

    name: str
    kind: str
    op_type: str
    output_shape: tuple[int | str, ...]
    parameters: int
    macs: int
    size_bytes: int
    possible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence about the architecture, with the number that backs it."""

    title: str
    text: str
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """Everything the screen says of a model before anything runs."""

    digest: str
    name: str
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    ir_version: int
    producer: str
    nodes: int
    parameters: int
    macs: int
    size_bytes: int
    batch_norms: int
    dynamic_dims: tuple[str, ...] = ()
    quantized: bool = False
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    layers: tuple[LayerCost, ...] = ()
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DataSummary:
    """An image set: `kind` is "images" or "tensors" (one preprocessed array per model input)."""

    digest: str
    name: str
    path: Path
    kind: str
    count: int
    labelled: bool
    image_shape: tuple[int, ...] = ()
    classes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a recipe makes of a model, known without running it; nothing here is a measurement.

    `exact` is False where a pass needs data or a trial to know (then the numbers are bounds).
    """

    parameters: int
    macs: int
    size_bytes: int
    nodes: int
    exact: bool = True
    report: tuple[StepReport, ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a backend is asked to run: thread count and arithmetic precision."""

    threads: int = 1
    precision: str = "f32"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend as it is here: usable (`reason` empty) or not, with the command that brings it."""

    name: str
    label: str
    about: str
    precisions: tuple[str, ...]
    version: str = ""
    device: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class SampleModel:
    """A line of the table of sample models, read without opening the model."""

    name: str
    title: str
    description: str
    digest: str
    top1: float
    parameters: int
    macs: int
    size_bytes: int
    batch_norms: int


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """What a run shall answer: every recipe of one model on every backend.

    Attributes:
        title: shown in the list of runs and on the result card.
        model: digest of the admitted model.
        recipes: the baseline (no steps) is added in front if it is missing.
        backends: `name` or `name:precision`.
        threads: latency is measured once for each; 0 means all cores.
        calibration, evaluation: digests of image sets; empty for none.
        images: evaluation images used at most; 0 means all.
        latency_budget_s: wall time for one pair (baseline, candidate) on one backend, at most.
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
    """What became of one recipe: a candidate, or the reason why there is none."""

    recipe: Recipe
    candidate: Candidate | None
    summary: ModelSummary | None = None
    reason: str = ""


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
class LayerProfile:
    """One layer as a backend ran it.

    Attributes:
        node: the runtime's own name; unique in a profile.
        name: the layer of the model file that it came from.
        op_type: the runtime's word for the operator.
        kind: what a person calls it ("conv 3x3", "depthwise 3x3", "quantize").
        seconds: median of one call.
        share: of the sum over all layers, 0 to 1.
        precision: what it computed in ("f32", "int8", ...); empty if the runtime does not tell.
        provider: the device or execution provider.
        implementation: the kernel.
        role: "compute", "quantize", "cast", "reorder" or "other".
        macs: of the layer of the file, for one sample.
        channels: of its output; 0 if not known.
        stored_integer: whether the file holds its weights as integers.
        sources: `node`s that it reads from.
    """

    node: str
    name: str
    op_type: str
    kind: str
    seconds: float
    share: float
    precision: str = ""
    provider: str = ""
    implementation: str = ""
    role: str = "compute"
    macs: int = 0
    channels: int = 0
    stored_integer: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Where one candidate spends its time on one backend.

    Attributes:
        candidate: digest of the file.
        backend: `name` or `name:precision`.
        threads: 0 for all cores.
        layers: in the order of running.
        total_s: median wall time of a call with no profiling switched on.
        notes: what the backend could not tell.
        macs, parameters, size_bytes, batch_norms, quantized: of the file.
        zero_share: of the weights, 0 to 1.
        passes: that made the file, as far as they are known.
        busy: whether others had the processor meanwhile, so that calls look longer than layers.
    """

    candidate: str
    backend: str
    threads: int
    layers: tuple[LayerProfile, ...]
    total_s: float
    notes: tuple[str, ...] = ()
    macs: int = 0
    parameters: int = 0
    size_bytes: int = 0
    batch_norms: int = 0
    quantized: bool = False
    zero_share: float = 0.0
    passes: tuple[str, ...] = ()
    busy: bool = False

    @property
    def layers_s(self) -> float:
        """The sum over all layers."""
        return sum(layer.seconds for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a candidate is as fast as it is.

    Attributes:
        title: a few words.
        text: what was seen, with its numbers.
        fix: the one switch that changes it; empty where none does.
        gain: whether it made the candidate faster.
    """

    title: str
    text: str
    fix: str = ""
    gain: bool = False


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer before and after; None on the side on which there is none."""

    before: LayerProfile | None
    after: LayerProfile | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why this speed?" for one candidate on one backend."""

    before: Profile
    after: Profile
    pairs: tuple[LayerPair, ...] = ()
    causes: tuple[Cause, ...] = ()


def to_json(value: Any) -> Any:
    """A record, or any nesting of records, as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value


def from_json(cls: type[R], data: Any) -> R:
    """The record of type `cls` that `to_json` turned into `data`; unknown keys are ignored.

    Raises:
        ValueError, TypeError, KeyError: `data` does not describe a `cls`.
    """
    return typing.cast(R, _read(cls, data))


def optional(cls: type[R], data: Any) -> R | None:
    """The record that `to_json` turned into `data`, or None where it turned None into None."""
    return None if data is None else from_json(cls, data)


@functools.cache
def _hints(cls: type) -> Json:
    """The types of a record's fields, which take longer to find out than to use."""
    return typing.get_type_hints(cls)


def _read(hint: Any, data: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return data
    if origin in (types.UnionType, typing.Union):
        return _read_union(args, data)
    if origin is tuple:
        return _read_tuple(args, data)
    if origin is not None and issubclass(origin, Mapping):
        return {k: _read(args[1], v) for k, v in dict(data).items()}
    if dataclasses.is_dataclass(hint):
        hints = _hints(typing.cast(type, hint))
        known = {f.name for f in dataclasses.fields(hint)}
        return typing.cast(type, hint)(
            **{k: _read(hints[k], v) for k, v in data.items() if k in known}
        )
    if hint in (float, int, str) and not isinstance(data, bool):
        return data if isinstance(data, str) and hint is str else _number(hint, data)
    return hint(data) if hint in (Path, bool) or issubclass(hint, enum.Enum) else data


def _number(hint: type, data: Any) -> Any:
    if hint is str or isinstance(data, str):
        raise TypeError(f"expected {hint.__name__}, got {data!r}")
    return hint(data)


def _read_union(args: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in args:
        return None
    kinds = [a for a in args if a is not type(None)]
    if len(kinds) == 1:
        return _read(kinds[0], data)
    for kind in kinds:
        if isinstance(kind, type) and isinstance(data, kind):
            return data
    raise TypeError(f"{data!r} is none of {kinds}")


def _read_tuple(args: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], v) for v in data)
    return tuple(_read(a, v) for a, v in zip(args, data, strict=True))
