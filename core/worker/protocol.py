"""Worker protocol: every request and its reply, as records that both ends share.

A request names no local path. What it needs was put into the worker before (a model under its
digest, an image set, a folder for what comes out) and is `Placed`: so the same request can be
answered by a worker on another device.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from core.devices.local.launch import PLACED
from core.records import Described, Preprocess, RunOptions, TensorSpec
from core.worker.timing.plan import ProfilingPlan, TimingPlan

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Placed:
    """A file or folder that was put into the worker.

    Attributes:
        key: under which it was put: the digest of what it holds, or a name of the moment.
        name: of the file in there; empty for the folder itself.
    """

    key: str
    name: str = ""

    @property
    def path(self) -> Path:
        """Where it lies, in the worker's own process."""
        return Path.cwd() / PLACED / self.key / self.name


@dataclass(frozen=True, slots=True)
class Running:
    """A backend with the options that it is asked to run with."""

    backend: str
    options: RunOptions


# Replies


@dataclass(frozen=True, slots=True)
class Done:
    """It is done; there is nothing to say of it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in its slot.

    Attributes:
        precision: that the runtime computes in, by its own account.
        settings: what decides its times.
        load_ns: that loading took.
    """

    precision: str
    settings: Mapping[str, str]
    load_ns: int


@dataclass(frozen=True, slots=True)
class Started:
    """What it took a fresh process to load a model and run it once; bytes are its peak memory."""

    load_ns: int
    first_ns: int
    peak_bytes: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """How many feeds there are."""

    count: int


@dataclass(frozen=True, slots=True)
class Saved:
    """How many outputs of each feed were saved."""

    outputs: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A set that was run.

    Attributes:
        images: how many were kept.
        batch: that they were run in.
        ragged: numbers of the outputs whose shape depends on the image.
        shared: numbers of those that are not known to hold a row for each image of a batch.
    """

    images: int
    batch: int
    ragged: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PairTimes:
    """Two models timed in turns, in nanoseconds per call.

    Attributes:
        a_min, b_min: of each block.
        a, b: of each sample.
        cpu_a, cpu_b: CPU time of each sample.
        repeat: calls per sample.
        waited_a, waited_b: nanoseconds in line for a core per nanosecond of a call.
        stolen_s: CPU seconds that the hypervisor took.
        took_s: seconds of it all.
    """

    a_min: tuple[float, ...] = ()
    b_min: tuple[float, ...] = ()
    a: tuple[float, ...] = ()
    b: tuple[float, ...] = ()
    cpu_a: tuple[float, ...] = ()
    cpu_b: tuple[float, ...] = ()
    repeat: int = 1
    waited_a: float = 0.0
    waited_b: float = 0.0
    stolen_s: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Minima:
    """Block minima in nanoseconds per call, for each file."""

    minima: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer as the runtime names it, with the median of its times."""

    node: str
    name: str
    op_type: str
    role: str
    precision: str
    provider: str
    implementation: str
    sources: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class LayerRows:
    """The layers of one model.

    Attributes:
        total_s: of a plain call, the median.
        cpu_s: CPU time of a plain call.
        profiled_s: of a call whose layers are timed.
        runs: of each.
        layers: with their times.
    """

    total_s: float
    cpu_s: float
    profiled_s: float
    runs: int
    layers: tuple[LayerRow, ...]


@dataclass(frozen=True, slots=True)
class BothProfiles:
    """Layer times of two models that took turns."""

    before: LayerRows
    after: LayerRows


# Requests


class Request(Generic[R]):
    """What is asked; the name of its class is that of the call, R what is answered."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Describe(Request[Described]):
    """Say what machine this is, and which backends are here."""


@dataclass(frozen=True, slots=True)
class Load(Request[Loaded]):
    """Load a model into a slot; what was there is closed first."""

    slot: str
    model: Placed
    running: Running
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Startup(Request[Started]):
    """Load a model in a fresh process, run it once, and say what that took."""

    slot: str
    model: Placed
    running: Running
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Unload(Request[Done]):
    """Close a slot."""

    slot: str


@dataclass(frozen=True, slots=True)
class Prepare(Request[Prepared]):
    """Make the feeds that runs and timings use: of an image set, or made up without one."""

    inputs: tuple[TensorSpec, ...]
    data: Placed | None
    preprocess: Preprocess | None
    count: int


@dataclass(frozen=True, slots=True)
class Run(Request[Saved]):
    """Run every prepared feed and save the outputs, `FEED_OUTPUT` -> array."""

    slot: str
    out: Placed


@dataclass(frozen=True, slots=True)
class RunFile(Request[Saved]):
    """Load a file, run it on given feeds, save the outputs as `Run` does, and close it again.

    Attributes:
        feeds: an .npz of `FEED_INPUT` arrays.
        names: of the inputs.
        count: of the feeds.
    """

    model: Placed
    running: Running
    outputs: tuple[TensorSpec, ...]
    feeds: Placed
    names: tuple[str, ...]
    count: int
    out: Placed


@dataclass(frozen=True, slots=True)
class Evaluate(Request[Evaluated]):
    """Run a whole image set (`images`: at most so many, 0 for all) into `out`/OUTPUT.npy."""

    slot: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    data: Placed
    preprocess: Preprocess | None
    images: int
    out: Placed


@dataclass(frozen=True, slots=True)
class Time(Request[PairTimes]):
    """Time two slots against each other."""

    a: str
    b: str
    plan: TimingPlan


@dataclass(frozen=True, slots=True)
class TimedFile:
    """A small model with its inputs, which are made up where no feed is given."""

    model: Placed
    inputs: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeFiles(Request[Minima]):
    """Load several files, time them in turns, and close them again.

    Attributes:
        feeds: an .npz of the arrays of one feed for all of them; None makes inputs up.
        names: of those arrays.
    """

    files: tuple[TimedFile, ...]
    running: Running
    plan: TimingPlan
    feeds: Placed | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile(Request[BothProfiles]):
    """Time the layers of two files in turns, on the first prepared feed."""

    before: Placed
    after: Placed
    running: Running
    plan: ProfilingPlan = field(default_factory=ProfilingPlan)


def call_of(kind: type[Request[R]]) -> str:
    """The name of a call on the wire."""
    return kind.__name__


def reply_of(kind: type[Request[R]]) -> type[R]:
    """The record that answers a request."""
    (base,) = vars(kind)["__orig_bases__"]
    (reply,) = typing.get_args(base)
    return typing.cast(type[R], reply)
