"""How long does each layer shape take on one backend, at the channel counts that matter?

A session call costs far more than a small layer (Python, copies, the layout change at the edges).
It is cancelled by a difference: of each chain there is a net with one copy and a net with k copies
(`core.pipeline.micro_models`), and

    seconds = (T_k - T_1) / (k - 1) - tap,

where `tap`, what it takes to end a copy, is timed once in the same way on a net of taps alone.
Each is the minimum of a block; a reference net takes turns with both inside every block, and
T is scaled by (the reference then) / (the reference now), so that a clock that drifts over the
minutes of a long table does not make late layers slow. The median over the blocks counts, with a
bootstrap interval.

Approximate: a chain runs warm (see micro_models); what a network spends outside of its layers
(shortcut padding, pooling, the call itself) is in no row. On networks the sum of the rows is
therefore below the whole.

Rows are written as they come, so that a table cut short is used and goes on where it ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import timings
from core.backends.base import catalogue
from core.devices.local import Scratch
from core.errors import CoreError, StoreError, WorkerError
from core.measure import statistics
from core.measure.host import host
from core.records import Target
from core.timings import Chain, LayerSignature, LayerTime, LayerTimes, MicroModel
from core.worker.client import Cancelled, Worker
from core.worker.setting import Setting
from core.worker.timing.plan import TimingPlan

PLAN = TimingPlan(warmup=5, blocks=9, quads=2, sample_s=0.001)
TAP: Chain = (LayerSignature("Concat", 16, 16, size=(16, 16)),)
REFERENCE: Chain = (
    LayerSignature("Conv", 32, 32, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), size=(16, 16)),
)
Write = Callable[[Sequence[Chain], Path], Sequence[MicroModel]]
Floats = NDArray[np.floating[Any]]
Told = Callable[[int, int], None]


def target(setting: Setting) -> Target:
    """Where the times of this setting come from: two of them are comparable if it is equal.

    Raises:
        BackendUnavailable: the backend is not installed.
    """
    version, options = catalogue()[setting.name].version(), setting.options
    form = setting.spec.partition("@")[2]
    here = setting.place.facts().id
    return Target(here, setting.name, version, options.precision, options.threads, form)


def cache_path(folder: Path, setting: Setting) -> Path:
    """The file of the table for this setting on this machine.

    A table of version 0.1.0, which had the versions of all runtimes in its name, goes on under
    the name of today.

    Raises:
        BackendUnavailable: the backend is not installed.
    """
    found = target(setting)
    last = f"{found.version}-{found.threads}.jsonl"
    path = folder / f"{found.device}-{found.spec.replace(':', '_')}-{last}"
    old = folder / f"{host().digest}-{setting.spec.replace(':', '_')}-{last}"
    if not path.exists():
        with contextlib.suppress(OSError):
            old.rename(path)
    return path


def measure(
    chains: Sequence[Chain],
    setting: Setting,
    path: Path,
    write: Write,
    told: Told = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> LayerTimes:
    """The table at `path` with all of `chains`; what is there already is not timed again.

    Args:
        chains: what to time.
        setting: where.
        path: the table, made if it is not there.
        write: writes micro-models to a folder (`Workshop.micro_models`).
        told: called with how many of the missing chains are done, and how many there were.
        cancelled: asked while it runs.

    Raises:
        Cancelled: the user asked to stop; the rows so far are in the file.
        BackendUnavailable: the backend is not installed.
        WorkerError, BackendError: not even the reference could be timed.
    """
    table = _opened(path, target(setting))
    missing = [chain for chain in dict.fromkeys(chains) if chain not in table]
    if not missing:
        return table

    def check() -> None:
        if cancelled():
            raise Cancelled

    with (
        Scratch() as folder,
        setting.place.alone(check),
        Clock(setting, write, folder, cancelled) as clock,
    ):
        for row in clock.rows(missing, table):
            timings.append(path, row)
            table = table.extended([row])
            told(sum(chain in table for chain in missing), len(missing))
    return table


def _opened(path: Path, wanted: Target) -> LayerTimes:
    """The table at `path`, begun anew where it is missing, unreadable or of another target."""
    try:
        table = timings.load(path)
    except StoreError:
        table = None
    if table is not None and table.target.device == host().digest:  # as version 0.1.0 named it
        table = replace(table, target=replace(table.target, device=wanted.device))
        timings.rewrite(path, table)
    if table is None or table.target != wanted:
        timings.start(path, wanted)
        return LayerTimes(wanted)
    return table


class Clock:
    """A worker that times micro-models beside one reference. Use as a context manager."""

    def __init__(
        self, setting: Setting, write: Write, folder: Path, cancelled: Callable[[], bool]
    ) -> None:
        """Start the worker; nothing is timed yet."""
        self._setting, self._folder, self._cancelled = setting, folder, cancelled
        self._write = write
        self._worker = Worker(None, cancelled, device=setting.place)
        self._unit_ns = self._tap_s = 0.0

    def rows(self, chains: Sequence[Chain], table: LayerTimes) -> Iterator[LayerTime]:
        """Each chain's row; one that cannot be timed has the reason instead.

        Raises:
            WorkerError, BackendError: not even the reference could be timed.
        """
        (self._model,) = self._write([REFERENCE], self._folder)
        yield from self._start(table)
        for chain in chains:
            if chain not in (REFERENCE, TAP):
                yield self._attempt(chain)

    def _start(self, table: LayerTimes) -> Iterator[LayerTime]:
        """Time the reference and the tap; scale to those of the table where it has them."""
        now_ns = [np.asarray(side) for side in self._time(self._model)]
        self._unit_ns = float(np.median(now_ns[0]))
        reference = _row(REFERENCE, (now_ns[2] - now_ns[1]) / (self._model.copies - 1) / 1e9)
        known_s = table.seconds(*REFERENCE)
        if known_s is None or reference.seconds is None:
            yield reference
        else:
            self._unit_ns *= known_s / reference.seconds
        tap = table.row(TAP)
        if tap is None or tap.seconds is None:
            (model,) = self._write([TAP], self._folder)
            tap = _row(TAP, self._slopes_s(model))
            yield tap
        self._tap_s = tap.seconds or 0.0

    def _attempt(self, chain: Chain) -> LayerTime:
        try:
            (model,) = self._write([chain], self._folder)
            row = _row(chain, self._slopes_s(model) - self._tap_s)
            model.one.unlink()
            model.many.unlink()
            return row
        except CoreError as error:
            if isinstance(error, WorkerError):
                self._worker.close()
                self._worker = Worker(None, self._cancelled, device=self._setting.place)
            return LayerTime(chain, None, reason=error.reason)

    def _slopes_s(self, model: MicroModel) -> Floats:
        """Seconds of one copy by block, the drift of the clock taken out."""
        reference, one, many = (np.asarray(side) for side in self._time(model))
        slopes: Floats = (many - one) / (model.copies - 1) * (self._unit_ns / reference) / 1e9
        return slopes

    def _time(self, model: MicroModel) -> list[list[float]]:
        files = [
            (self._model.many, self._model.inputs),
            (model.one, model.inputs),
            (model.many, model.inputs),
        ]
        return self._worker.time_files(files, self._setting, PLAN)

    def __enter__(self) -> Clock:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()


def _row(chain: Chain, seconds: Floats) -> LayerTime:
    """The row of a chain from its blocks; no time where noise hides the layer altogether."""
    middle = statistics.median([seconds.tolist()])
    if middle.value <= 0:
        return LayerTime(chain, 0.0, 0.0, max(0.0, middle.high), "shorter than the noise")
    return LayerTime(chain, *middle)
