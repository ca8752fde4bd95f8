"""Evaluation of a quantized graph: what it loses, on calibration images that were held out.

The measure is the relative error of the logits,
    sum |y_q - y|^2 / sum |y|^2
of the worst output, and of the worst group of its channels where boxes lie beside scores
(`core.fidelity`). No labels are needed, and unlike accuracy it tells two good candidates apart on
few images. A Softmax or Sigmoid at the very end is left out of it: it hides errors.

y_q is what the backend that the recipe is for makes of the file, where that backend is here. What
takes many graphs is judged by what the file says, which needs no process of its own: rankings of
single layers, ways to equalise and to find ranges.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from core.calibration.services import Array, Run, Runtime, Tensors
from core.compress.linalg import parallel
from core.compress.quantization import effort
from core.compress.quantization.images import (
    LARGEST_IMAGES,
    CalibrationSplit,
    any_batch,
    images_of,
    parts,
    singly,
)
from core.compress.quantization.observers import refuse_bad
from core.data.sets import has_background_class
from core.data.zoomed import seems_familiar, zoomed
from core.errors import CoreError, PassPrecondition
from core.fidelity import Powers
from core.graph.operators import STANDARD

HEADS = frozenset({"Softmax", "Sigmoid", "LogSoftmax"})
SQUASHING = HEADS - {"LogSoftmax"}  # into 0 .. 1
LEAST_ERROR = 1e-6
LARGEST_DIFFERENCE = 1e-3  # of the largest value, between two forms of one graph
DRAWS = 40
RESAMPLES = 400


class Loss(NamedTuple):
    """Points of accuracy that are expected to be lost, with the 95 % interval of the images."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """For a note."""
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


class Familiar(NamedTuple):
    """A net that seems to know the images.

    Attributes:
        known: its mean confidence in them.
        copies: the same in copies of them.
        right: share of them that it is right about; None without labels.
    """

    known: float
    copies: float
    right: float | None


class Evaluator:
    """Compares graphs with the float one.

    Attributes:
        backend: computes what is compared; None: ONNX Runtime in this process.
        reason: why the backend gave no outputs the last time that it gave none.
        familiar: set where the net seems to have been trained on the images. Points of accuracy are
            then told by its confidence in copies of them (`core.data.zoomed`).
    """

    def __init__(
        self,
        graph: ir.Model,
        images: CalibrationSplit,
        largest: int = LARGEST_IMAGES,
        backend: Runtime | None = None,
        labels: Array | None = None,
    ) -> None:
        """Run the float graph, whose outputs should be logits (see `headless`).

        What is told by the float outputs alone is told by all held-out images; other graphs run on
        fewer of them where the net is large.

        Args:
            graph: the float graph.
            images: calibration images, of which those held out judge.
            largest: at most about so many of them.
            backend: computes what is compared; None: ONNX Runtime in this process.
            labels: of all calibration images, where they are known.
        """
        self._images, self.backend, self.reason = images, backend, ""
        self._names = [value.name or "" for value in graph.graph.outputs]
        self._feeds: list[Tensors] = []
        starts: list[int] = []
        alone = backend is not None and any_batch(graph)
        told = effort.images(graph, largest, effort.CALIBRATION_MACS)
        step = max(1, images.judged // max(told, 1))
        for start, feeds in [*zip(images.held_at, images.held_out, strict=True)][::step]:
            if self.images < told:
                pieces = [*singly(feeds)] if alone else [feeds]
                self._feeds += pieces
                starts += range(start, start + len(pieces))
        run = images.runner(graph, self._names)
        self._reference = self._truth = [run(feeds) for feeds in self._feeds]
        for start, values in zip(starts, self._reference, strict=True):
            for name in self._names:
                maker = next(v for v in graph.graph.outputs if v.name == name).producer()
                refuse_bad(name, values[name], start, maker)
        self.familiar: Familiar | None = None
        self._power = 0.0  # mean square of the logits of the images themselves
        if self.counts_points:
            self._look_at_copies(run, starts, labels)
        self._divisible = any_batch(graph) and all(map(_rows_are_images, *self._pairs()))
        self._thin(effort.images(graph, largest))

    def _look_at_copies(self, run: Run, starts: Sequence[int], labels: Array | None) -> None:
        """Where the net seems to know the images, take its confidence from copies of them."""
        scores = self._scores(self._truth)
        self._power = float(np.mean(scores**2))
        confidence, right = float(_confidence(scores).max(1).mean()), None
        if labels is not None:
            counts = [images_of(feeds) for feeds in self._feeds]
            rows = [at for start, n in zip(starts, counts, strict=True)
                    for at in range(start, start + n)]  # fmt: skip
            if len(rows) == len(scores) and max(rows, default=0) < len(labels):
                wanted = labels[rows] + int(has_background_class(scores.shape[1], labels))
                right = float(np.mean(scores.argmax(1) == wanted))
        if not seems_familiar(confidence, right, len(scores)):
            return
        copies = [zoomed(feeds) for feeds in self._feeds]
        found = [run(feeds) for feeds in copies if feeds is not None]
        if len(found) == len(copies) and all(np.isfinite(v[self._names[0]]).all() for v in found):
            self._truth = found
            sure = float(_confidence(self._scores(found)).max(1).mean())
            self.familiar = Familiar(confidence, sure, right)

    @property
    def images(self) -> int:
        """Images that each question runs on."""
        return sum(images_of(feeds) for feeds in self._feeds)

    def bearable(self, points: float) -> float:
        """The error of the logits at which this much top-1 accuracy is expected to be lost.

        Noise of that size is drawn on the logits. Where the first class changes, the net's own
        confidences say how much likelier the old one was to be right: next to nothing near a tie.

        Raises:
            PassPrecondition: the outputs are not the scores of classes.
        """
        errors = np.geomspace(LEAST_ERROR, 1.0, 49)
        place = bisect.bisect_right(errors, points, key=self.expected)
        return float(errors[place - 1]) if place else 0.0

    def expected(self, error: float) -> float:
        """Points of top-1 accuracy that noise of this relative size on the logits would cost.

        Raises:
            PassPrecondition: the outputs are not the scores of classes.
        """
        outputs = self._scores(self._truth)
        odds, first = _confidence(outputs), outputs.argmax(1)
        noise = np.random.default_rng(0).standard_normal((DRAWS, *outputs.shape))
        noise *= np.sqrt(error * self._power)  # an error is relative to the images themselves
        rows, now = np.arange(len(outputs)), (outputs + noise).argmax(2)
        return float(100 * np.mean(odds[rows, first] - odds[rows, now]))

    def outcome(self, graph: ir.Model) -> tuple[float, Loss | None]:
        """`error`, and points of top-1 accuracy that `graph` may be expected to cost.

        None for the points without outputs, or where these are not the scores of classes.
        """
        found = self._outputs(graph, self.backend)
        if found is None or not self.counts_points:
            return self._error(found), None
        return self._error(found), self._expected_of(found)

    def _expected_of(self, found: Sequence[Tensors]) -> Loss:
        """Points that are expected to be lost.

        What a graph adds to the logits of each image is added to those of each other one. So the
        errors are as large, as unequal and as partial to some classes as they are. Where the net
        knows the images, it is added to the logits of copies that it does not know.
        """
        before, after = self._scores(self._reference), self._scores(found)
        shown = self._scores(self._truth) if self.familiar else before
        odds, first, rows = _confidence(shown), shown.argmax(1), np.arange(len(shown))
        lost = np.empty((len(shown), len(before)))
        for column, added in enumerate(after - before):
            lost[:, column] = odds[rows, first] - odds[rows, (shown + added).argmax(1)]
        random = np.random.default_rng(0)
        means = []
        for _ in range(RESAMPLES):
            images, errors = (random.integers(size, size=size) for size in lost.shape)
            means.append(100 * lost[images][:, errors].mean())
        low, high = np.percentile(means, [2.5, 97.5])
        return Loss(float(100 * lost.mean()), float(low), float(high))

    @property
    def counts_points(self) -> bool:
        """Whether the outputs are the scores of classes, so that `expected` says something."""
        try:
            self._scores(self._truth)
        except PassPrecondition:
            return False
        return True

    def agreeing(self, graph: ir.Model) -> float:
        """Percent of the images to which `graph` gives the same first class.

        Raises:
            PassPrecondition: the outputs are not the scores of classes.
        """
        found = self._outputs(graph, self.backend)
        if found is None:
            return 0.0
        after = self._scores(found)
        return float(100 * np.mean(after.argmax(1) == self._scores(self._reference).argmax(1)))

    def _scores(self, batches: Sequence[Tensors]) -> Array:
        rows = [batch[self._names[0]] for batch in batches]
        flat = [r.reshape(len(r), -1) for r in rows if r.ndim > 1 and max(r.shape[1:]) == r[0].size]
        if len(self._names) != 1 or len(flat) != len(rows) or flat[0].shape[1] < 2:
            raise PassPrecondition(
                "Points of accuracy need a model with one output, the scores of its classes."
            )
        return np.concatenate(flat).astype(np.float64)

    def few(self, largest: int, at_once: int = 0) -> Evaluator:
        """This evaluator on about so many of its images, from all over them: enough to rank.

        It judges what the file says, whatever the backend: ranking takes many graphs.

        Args:
            largest: about so many images.
            at_once: images of one run; 0 for as many as before, which is quicker than few at once.
        """
        other = copy.copy(self)
        other.backend = None
        other._thin(largest, at_once)
        return other

    def _thin(self, largest: int, at_once: int = 0) -> None:
        """Keep about so many images, from all over them."""
        most = at_once or max(map(images_of, self._feeds))
        step = max(1, round(self.images / largest))
        if self._divisible:
            pairs, at = [], 0
            for feeds, values in zip(*self._pairs(), strict=True):
                count = images_of(feeds)
                rows = slice(-at % step, None, step)
                at += count
                if range(count)[rows]:
                    pairs.append([{n: a[rows] for n, a in t.items()} for t in (feeds, values)])
            self._feeds, self._reference = (
                _regrouped([pair[side] for pair in pairs], most) for side in (0, 1)
            )
        else:
            self._feeds, self._reference = self._feeds[::step], self._reference[::step]

    def _pairs(self) -> tuple[list[Tensors], list[Tensors]]:
        return self._feeds, self._reference

    @property
    def feeds(self) -> Sequence[Tensors]:
        """What each question runs on."""
        return self._feeds

    def runner(self, graph: ir.Model, names: Sequence[str]) -> Run:
        """A function from inputs of a piece of the net to tensors of it, in this process."""
        return self._images.runner(graph, names)

    def error(self, graph: ir.Model) -> float:
        """The relative error of the outputs of `graph`; infinite where there are none or bad ones.

        They are the backend's.
        """
        return self._error(self._outputs(graph, self.backend))

    def error_as_written(self, graph: ir.Model) -> float:
        """The same of what the file says, computed by ONNX Runtime."""
        return next(self.errors_as_written(iter([graph])))

    def errors_as_written(self, graphs: Iterator[ir.Model]) -> Iterator[float]:
        """The same of several; while one runs, the next is made and loaded."""
        runs = (self._images.runner_as_written(graph, self._names) for graph in graphs)
        for run in parallel.ahead(runs):
            yield self._error([run(feeds) for feeds in self._feeds])

    def _outputs(self, graph: ir.Model, backend: Runtime | None) -> list[Tensors] | None:
        """Outputs for each feed; None, and a reason, where the backend gives none."""
        if backend is None:
            run = self._images.runner(graph, self._names)
            return [run(feeds) for feeds in self._feeds]
        try:
            return backend(graph, self._feeds)
        except CoreError as failure:
            self.reason = failure.message
            return None

    def error_of(self, found: Sequence[Tensors]) -> float:
        """The same of outputs that are there, one for each of `feeds`."""
        return self._error(found)

    def _error(self, found: Sequence[Tensors] | None) -> float:
        if found is None:
            return float("inf")
        powers = {name: Powers() for name in self._names}
        for after, before in zip(found, self._reference, strict=True):
            fit = (after[n].shape == before[n].shape for n in self._names)
            if not all(fit) or not all(np.isfinite(after[n]).all() for n in self._names):
                return float("inf")
            for name in self._names:
                powers[name].add(before[name], after[name])
        heard = [power for power in powers.values() if power.signal.any()]
        return max(power.error() for power in heard or powers.values())


def _regrouped(batches: Sequence[Tensors], most: int) -> list[Tensors]:
    """The same images in batches of so many; the last may hold fewer."""
    whole = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    return [part for _, part in parts(whole, most)]


def _rows_are_images(feeds: Tensors, values: Tensors) -> bool:
    """Whether the first axis of each output counts the images."""
    return all(a.ndim and len(a) == images_of(feeds) for a in values.values())


def _confidence(outputs: Array) -> Array:
    """Scores as probabilities, if they are not that already."""
    if (outputs >= 0).all() and np.allclose(outputs.sum(1), 1.0, atol=1e-3):
        return outputs
    powers = np.exp(outputs - outputs.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def headless(graph: ir.Model) -> ir.Model:
    """A copy whose outputs are the logits: what a final Softmax or Sigmoid reads; floats only."""
    copy = graph.clone()
    outputs = []
    for value in copy.graph.outputs:
        node = value.producer()
        while node is not None and node.op_type in HEADS and node.domain in STANDARD:
            value, node = node.inputs[0], node.inputs[0].producer()  # type: ignore[union-attr, assignment]
        kind = getattr(value.type, "dtype", ir.DataType.FLOAT)
        if kind == ir.DataType.FLOAT and not value.is_graph_input() and value not in outputs:
            outputs.append(value)
    if outputs:
        copy.graph.outputs.clear()
        copy.graph.outputs.extend(outputs)
    return copy


def first_difference(
    old: ir.Model,
    new: ir.Model,
    runner: Callable[[ir.Model, Sequence[str]], Run],
    feeds: Tensors,
) -> str:
    """Name of the first float output that `new` computes otherwise than `old`; empty if none.

    Where a graph ends in Softmax or Sigmoid its logits are compared as well, and probabilities as
    what they are, between 0 and 1: those that are all next to zero hold nothing but rounding.
    """
    names = [[v.name or "" for v in graph.graph.outputs] for graph in (old, new)]
    logits = [[v.name or "" for v in headless(graph).graph.outputs] for graph in (old, new)]
    heads = {v.name for v in old.graph.outputs if (n := v.producer()) and n.op_type in SQUASHING}
    if len(logits[0]) == len(logits[1]):
        names = [own + more for own, more in zip(names, logits, strict=True)]
    else:
        heads = set()
    found = [
        runner(graph, list(dict.fromkeys(some)))(feeds)
        for graph, some in zip((old, new), names, strict=True)
    ]
    for name, other in zip(names[0], names[1], strict=True):
        a, b = found[0][name], found[1][other]
        if a.dtype.kind != "f" or not a.size:
            continue
        least = 1.0 if name in heads else 1e-6
        scale = max(float(np.abs(a[np.isfinite(a)]).max(initial=0)), least)
        if a.shape != b.shape or not np.allclose(
            a, b, rtol=0, atol=LARGEST_DIFFERENCE * scale, equal_nan=True
        ):
            return name
    return ""
