"""What a quantized graph loses, on calibration images that were held out of finding the ranges.

The measure is the relative error of the logits,
    sum |y_q - y|^2 / sum |y|^2,
averaged over the outputs. No labels are needed, and unlike accuracy it tells two good candidates
apart on few images. A Softmax or Sigmoid at the very end is left out of it: it hides errors.

Every fourth batch or fewer is held out, up to a bound in images and in bytes, so memory stays flat.
Sets are often sorted by class: whatever takes a part of the images takes it from all over the set.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from core.errors import PassPrecondition
from core.quantization.observers import refuse_bad

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Run = Callable[[Tensors], Tensors]

EVERY = 4
LARGEST_BYTES = 64 << 20
LARGEST_IMAGES = 64
HEADS = frozenset({"Softmax", "Sigmoid", "LogSoftmax"})
STANDARD = ("", "ai.onnx")
LEAST_ERROR = 1e-6
DRAWS = 40


class Source(Protocol):
    """Calibration data: the part of `core.passes.base.Statistics` that is used here."""

    @property
    def count(self) -> int:
        """Images."""
        ...

    def feeds(self) -> Iterator[Tensors]:
        """Model inputs, batch by batch, in a fixed order."""
        ...

    def runner(self, graph: ir.Model, names: Sequence[str]) -> Run:
        """A function from inputs of `graph` to the named tensors."""
        ...


class Images:
    """Calibration images in two parts: what ranges are found on, and what judges them."""

    def __init__(self, source: Source) -> None:
        """Set the judging part aside."""
        self._source = source
        self.held_out: list[Tensors] = []
        self.held_at: list[int] = []  # place in the set of the first image of each
        self.at = 0  # the same of the batch that `calibration` gave last
        seen = 0
        self._held: set[int] = set()
        self.batches = 0
        first: Tensors = {}
        size = images = 0
        every = EVERY
        for index, feeds in enumerate(source.feeds()):
            self.batches += 1
            first = first or feeds
            here = sum(a.nbytes for a in feeds.values())
            if index == 0:
                every = max(EVERY, source.count // LARGEST_IMAGES)
            room = size + here <= LARGEST_BYTES and images < LARGEST_IMAGES
            if index % every == 1 and (room or not self.held_out):
                self.held_out.append(feeds)
                self.held_at.append(seen)
                self._held.add(index)
                size, images = size + here, images + _images(feeds)
            seen += _images(feeds)
        self.separate = bool(self.held_out)
        if not self.separate:
            self.held_out, self.held_at = [first], [0]

    @property
    def judged(self) -> int:
        """Images that judge."""
        return sum(_images(feeds) for feeds in self.held_out)

    def calibration(self, largest: int = 0) -> Iterator[Tensors]:
        """The other images, at most about `largest` from all over the set; 0 is all of them."""
        free = [i for i in range(self.batches) if i not in self._held] or [0]
        wanted = self.batches
        if largest:
            wanted = max(1, round(largest / max(_images(self.held_out[0]), 1)))
        step = max(1, len(free) // wanted)
        chosen = set(free[::step][:wanted])
        seen = 0
        for index, feeds in enumerate(self._source.feeds()):
            if index in chosen:
                self.at = seen
                yield feeds
            seen += _images(feeds)

    def values(self, graph: ir.Model, names: Sequence[str], largest: int = 0) -> Iterator[Tensors]:
        """Named tensors of `graph` on the calibration part, batch by batch."""
        fed = {value.name for value in graph.graph.inputs}
        run = self._source.runner(graph, [name for name in names if name not in fed])
        for feeds in self.calibration(largest):
            yield run(feeds) | {name: feeds[name] for name in names if name in fed}

    def runner(self, graph: ir.Model, names: Sequence[str]) -> Run:
        """A function from inputs of `graph` to the named tensors."""
        return self._source.runner(graph, names)


class Judge:
    """Compares graphs with the float one."""

    def __init__(self, graph: ir.Model, images: Images, largest: int = LARGEST_IMAGES) -> None:
        """Run the float graph, whose outputs should be logits (see `headless`)."""
        self._images = images
        self._names = [value.name or "" for value in graph.graph.outputs]
        self._feeds: list[Tensors] = []
        for feeds in images.held_out:
            if sum(_images(f) for f in self._feeds) < largest:
                self._feeds.append(feeds)
        run = images.runner(graph, self._names)
        self._reference = [run(feeds) for feeds in self._feeds]
        for start, values in zip(images.held_at, self._reference, strict=False):
            for name in self._names:
                maker = next(v for v in graph.graph.outputs if v.name == name).producer()
                refuse_bad(name, values[name], start, maker)

    @property
    def images(self) -> int:
        """Images that each question runs on."""
        return sum(_images(feeds) for feeds in self._feeds)

    def bearable(self, points: float) -> float:
        """The error of the logits at which this much top-1 accuracy is expected to be lost.

        Noise of that size is drawn on the logits. Where the first class changes, the net's own
        confidences say how much likelier the old one was to be right: next to nothing near a tie.

        Raises:
            PassPrecondition: the outputs are not the scores of classes.
        """
        outputs = self._scores(self._reference)
        odds, first = _confidence(outputs), outputs.argmax(1)
        noise = np.random.default_rng(0).standard_normal((DRAWS, *outputs.shape))
        noise *= np.sqrt(np.mean(outputs**2))
        rows = np.arange(len(outputs))
        best = 0.0
        for error in np.geomspace(LEAST_ERROR, 1.0, 49):
            now = (outputs + np.sqrt(error) * noise).argmax(2)
            if 100 * np.mean(odds[rows, first] - odds[rows, now]) > points:
                break
            best = float(error)
        return best

    def agreeing(self, graph: ir.Model) -> float:
        """Percent of the images to which `graph` gives the same first class.

        Raises:
            PassPrecondition: the outputs are not the scores of classes.
        """
        run = self._images.runner(graph, self._names)
        after = self._scores([run(feeds) for feeds in self._feeds])
        return float(100 * np.mean(after.argmax(1) == self._scores(self._reference).argmax(1)))

    def _scores(self, batches: Sequence[Tensors]) -> Array:
        rows = [batch[self._names[0]] for batch in batches]
        flat = [r.reshape(len(r), -1) for r in rows if r.ndim > 1 and max(r.shape[1:]) == r[0].size]
        if len(self._names) != 1 or len(flat) != len(rows) or flat[0].shape[1] < 2:
            raise PassPrecondition(
                "Points of accuracy need a model with one output, the scores of its classes."
            )
        return np.concatenate(flat).astype(np.float64)

    def few(self, largest: int) -> Judge:
        """This judge on about so many of its images, from all over them: enough to rank."""
        step = max(1, round(self.images / largest))
        other = copy.copy(self)
        other._feeds, other._reference = self._feeds[::step], self._reference[::step]
        return other

    def error(self, graph: ir.Model) -> float:
        """The relative error of the outputs of `graph`; infinite where they are not finite."""
        run = self._images.runner(graph, self._names)
        wrong, size = np.zeros(len(self._names)), np.zeros(len(self._names))
        for feeds, before in zip(self._feeds, self._reference, strict=True):
            after = run(feeds)
            for index, name in enumerate(self._names):
                y = before[name].astype(np.float64)
                wrong[index] += ((after[name].astype(np.float64) - y) ** 2).sum()
                size[index] += (y**2).sum()
        if not np.isfinite(wrong).all():
            return float("inf")
        used = size > 0
        return float(np.mean(wrong[used] / size[used])) if used.any() else float(wrong.sum())


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


def _images(feeds: Tensors) -> int:
    first = next(iter(feeds.values()), None)
    return len(first) if first is not None and first.ndim else 1
