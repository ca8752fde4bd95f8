"""Signal to quantization noise ratio of the outputs against the original's: see `core.fidelity`.

That of the worst output, and there of the worst group of channels. Outputs are read in chunks, so
that memory stays flat. Of ragged outputs, what an image does not have is 0 in its place: a box that
is missing counts as lost, and one too many as noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from core.errors import InferenceFailed
from core.fidelity import CAP_DB, Powers, in_words
from core.metrics.base.intervals import Interval
from core.metrics.base.outputs import Outputs
from core.records import Better, Json

Array = np.ndarray[Any, Any]
CHUNK = 64


class Worst(NamedTuple):
    """The SQNR of what is worst, in dB, and what that is."""

    value: float
    where: str


class SqnrDb:
    """Exact for these images: it is a ratio of powers, not a sample."""

    unit = "dB"
    better = Better.HIGHER
    label = "signal to error of the outputs (SQNR)"
    short = "SQNR"
    gives = (
        "signal-to-noise ratio of the outputs: the power of the baseline's over that of the "
        "difference, for the worst output and group of channels"
    )
    comparatives = ("lower SQNR", "higher SQNR")
    relative = True
    phrase = "outputs {} above their error (SQNR)"
    paired = False
    fewest = 1

    def statistics(self, predictions: Outputs, truth: Outputs) -> Worst:
        """The worst output and group of channels of the images that both have.

        Raises:
            InferenceFailed: an output has other axes than the original's.
        """
        return worst(truth, predictions, min(truth.images, predictions.images))

    def value(self, statistics: Worst) -> float:
        """In dB."""
        return statistics.value

    def score(self, statistics: Worst) -> Interval:
        """In dB, of no width."""
        return Interval(statistics.value, statistics.value, statistics.value)

    def difference(self, before: Worst, after: Worst) -> Interval:
        """In dB, of no width."""
        value = after.value - before.value
        return Interval(value, value, value)

    def detail(self, statistics: Worst) -> Json:
        """Which output and channels, and what the ratio means."""
        told = in_words(statistics.value), f"worst: {statistics.where}" if statistics.where else ""
        return {"text": "; ".join(part for part in told if part)}


def worst(baseline: Outputs, candidate: Outputs, count: int) -> Worst:
    """SQNR of the worst output, and there of the worst group of channels; and which that is."""
    found, where = CAP_DB, ""
    for index, output in enumerate(candidate.model.outputs):
        powers = Powers()
        before, after = baseline.array(index), candidate.array(index)
        apart = index in baseline.ragged | candidate.ragged
        for start in range(0, count, CHUNK):
            end = min(count, start + CHUNK)
            powers.add(*_alike(np.asarray(before[start:end]), np.asarray(after[start:end]), apart))
        value, channels = powers.sqnr_db()
        if value < found or not where:
            found, where = min(value, found), _where(output.name, channels, len(powers.signal))
    return Worst(found, where)


def _alike(before: Array, after: Array, ragged: bool) -> tuple[Array, Array]:
    """Both in one shape.

    An image that never had more than one box was kept without the axis that counts them.
    """
    if not ragged and before.size == after.size:
        return before, after.reshape(before.shape)
    if before.ndim + 1 == after.ndim:
        before = before[:, None]
    elif after.ndim + 1 == before.ndim:
        after = after[:, None]
    if before.ndim != after.ndim:
        raise InferenceFailed(
            f"An output of {after.ndim} axes stands where the original has one of {before.ndim}."
        )
    shape = tuple(map(max, before.shape, after.shape))
    return _filled(before, shape), _filled(after, shape)


def _filled(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in the corner of a larger one; 0 where nothing stands."""
    made = np.zeros(shape, np.float32)
    made[tuple(slice(size) for size in array.shape)] = np.where(np.isnan(array), 0, array)
    return made


def _where(output: str, channels: Array, of: int) -> str:
    if len(channels) == of:
        return f"output {output!r}"
    named = f"channel {channels[0]}" if len(channels) == 1 else f"{len(channels)} of {of} channels"
    return f"{named} of output {output!r} ({min(channels)} to {max(channels)})"


METRIC = SqnrDb()
