"""Sequential layer-wise reconstruction: refit a rewritten graph to what the original computes.

Original and rewritten graph are walked together in topological order. For each layer the inputs are
those that the *rewritten* graph computes, its earlier layers already refitted, and the targets
those of the *original* (`residual_targets`): so a layer makes good what everything before it has
lost. The fit is closed form (`ridge`), from sums over sampled places (`normal_equations`), on four
fifths of the images; the layer keeps its new weights only if the error on the other fifth falls,
and is then solved once more on all of them. Layers behind the last change are refitted too. Before
the only reader of a layer that has lost channels is fitted, both are fitted together
(`pairwise_refit`).

What is approximate: layers are fitted one or two at a time, to activations and not to the output;
places are sampled, and count by how much they matter to the outputs (`vjp`); where a Relu follows,
a few rounds of moving targets (`ResidualTarget.bounds`, `row_sampling`) replace the exact minimum.

Source: He, Zhang, Sun 2017, arXiv:1707.06168; Zhang et al. 2015, arXiv:1505.06798.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.calibration.services import Graph
from core.compress.autodiff.backward_graph import NoGradient
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.linalg.im2col_sampling import values_at
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Gram, Matrix, Moments, Shift
from core.compress.refit.pairwise_layers import Pair
from core.compress.refit.pairwise_refit import PairwiseFit
from core.compress.refit.pairwise_rows import Goal
from core.compress.refit.reference import Reference
from core.compress.refit.refit_plan import ChannelMapping, RefitTask, pairs_of, refit_tasks
from core.compress.refit.ridge import Ridge, explained, free_bias, least_error, offset_error
from core.compress.refit.row_sampling import Room, Rows
from core.compress.refit.telling import Tell, part, silent
from core.devices.local import memory
from core.records import Note

FEW = 256  # images below which the ridge is strong
STRONG, WEAK = 0.1, 1e-3
LEAST_JOINT = 128  # images; whether their places are enough is asked of each pair
ROWS_BYTES = 384 << 20  # of one layer's rows that are kept for the rounds behind a Relu
ROWS_SHARE = 4  # of the memory that is free, one part for them at most
FACTORS = (1.0, 30.0, 0.1)  # ridges tried, in units of the one that is asked for
Constrain = Callable[[Matrix, Moments], Matrix]
ROWS, EACH = 30_000, 1e10  # about, of a layer; multiplications that go for any layer
BENT_WIDTH = 1536  # inputs of a layer beyond which one round must do
SYSTEM_COPIES = 4  # of a covariance, while a ridge is tried


@dataclass(frozen=True)
class Options:
    """How to fit.

    Attributes:
        strength: of the ridge; None: by the number of images.
        bends: rounds of target and fit where a Relu follows.
        joint: whether a layer that has lost channels is fitted together with its only reader.
    """

    strength: float | None = None
    bends: int = 2
    joint: bool = True


@dataclass(frozen=True, slots=True)
class Refit:
    """What became of a layer: relative error on held-out images, before and after.

    `reason` says why it kept its weights; None where it did not. `joint`: the layer before it was
    changed too, for its sake.
    """

    layer: str
    before: float
    after: float
    reason: Note | None = None
    joint: bool = False


def refit(
    rewritten: Graph,
    mappings: Mapping[str, ChannelMapping],
    reference: Reference,
    options: Options | None = None,
    constraints: Mapping[str, Constrain] | None = None,
    tell: Tell = silent,
) -> tuple[Refit, ...]:
    """Refit the layers of `rewritten` in place.

    Args:
        rewritten: the graph; its inputs are those of the original.
        mappings: output of a layer of it -> what that stands for. A layer that is not named here,
            like the first half of a factorised one, keeps its weights.
        reference: the original on the calibration images.
        options: how.
        constraints: output of a layer -> what brings free weights back to the form that they must
            have, such as a product of factors, in the metric of the moments.
        tell: hears of each layer.
    """
    with parallel.product_threads(1):
        return _refit(rewritten, mappings, reference, options or Options(), constraints or {}, tell)


def _refit(
    rewritten: Graph,
    mappings: Mapping[str, ChannelMapping],
    reference: Reference,
    options: Options,
    constraints: Mapping[str, Constrain],
    tell: Tell,
) -> tuple[Refit, ...]:
    tasks = refit_tasks(rewritten, mappings, reference.original)
    reference.sample({task.source: task.layer.channel_axis for task in tasks})
    strength = options.strength or (STRONG if reference.images < FEW else WEAK)
    executor = GraphExecutor(rewritten, reference.services.runner, reference.feeds)
    together = options.joint and reference.images >= LEAST_JOINT
    pairs = (
        pairs_of(rewritten, tasks, mappings, reference.original, constraints) if together else {}
    )
    room, done = Room(), list[Refit]()
    shares = _shares([task.layer for task in tasks])
    for turn, task in enumerate(tasks):
        say = part(tell, shares[turn], shares[turn + 1])
        say(_sentence(task.layer), 0.0)
        pinned = {p.maker.input for c in tasks[turn:] if (p := pairs.get(c.layer.output))}
        others, before = [task.target.other] if task.target.other else [], None
        if task.layer.output in pairs:
            both = pairs[task.layer.output]
            executor.reach([both.maker.input, *others], pinned)
            before = _together(both, task, executor, reference, strength)
        executor.reach([task.layer.input, *others], pinned)
        constrain = constraints.get(task.layer.output)
        fit = _Fit(task, executor, reference, strength, options.bends, room, say, constrain).run()
        done.append(fit if before is None else replace(fit, before=before, joint=True))
    return tuple(done)


def _shares(layers: Sequence[Layer]) -> list[float]:
    """Of the whole work, what is done before each layer, and all: most is products of matrices."""
    inputs = [layer.weight.size / max(len(layer.bias()), 1) for layer in layers]
    work = np.array([EACH + d * d * (ROWS + d / 3) for d in inputs])
    return [0.0, *(np.cumsum(work) / max(float(work.sum()), 1.0)).tolist()]


def _sentence(layer: Layer) -> str:
    return f"Refitting {layer.name}"


def _together(
    both: Pair, task: RefitTask, executor: GraphExecutor, reference: Reference, strength: float
) -> float | None:
    """Give both layers better weights, if there are any; the reader's error before, or None."""
    goal = Goal(task.target, task.source, task.keep, strength)
    try:
        fit = PairwiseFit(both, goal, executor, reference)
        better = fit.run() if fit.enough else None
    except NoGradient:
        return None
    if better is None:
        return None
    weights, before, _ = better
    fit.write(weights)
    executor.back(both.nodes)
    return before


@dataclass
class _Batch:
    """One batch of a layer: inputs, targets and their bounds, how much each row matters."""

    inputs: Array
    targets: Array
    bounds: tuple[Array, Array]
    weights: Array | None


@dataclass(frozen=True, eq=False)
class _Tried:
    """Errors on rows held back: as it was, refitted with the best ridge, with a new bias only."""

    before: float
    after: float
    strength: float
    shifted: float
    bias: Matrix


@dataclass
class _Fit:
    """One layer being fitted; the columns of its matrix go in the order of `Layer.seen`."""

    task: RefitTask
    executor: GraphExecutor
    reference: Reference
    strength: float
    bends: int
    room: Room
    tell: Tell = silent
    constrain: Constrain | None = None
    _rows: Rows | None = None
    _filed: tuple[Matrix, Matrix] | None = None  # a covariance, and its columns as in the file

    def run(self) -> Refit:
        """Fit on some images, judge on others; if that is better, fit on all and write."""
        layer, start = self.task.layer, self.task.layer.matrix()[:, :, self.task.layer.order]
        old = layer.bias().reshape(layer.groups, -1)
        self.tell(_sentence(layer), 0.3)
        fitted, judged = self._sums()
        self.tell(_sentence(layer), 0.5)
        tried = self._tried(fitted, judged, start, old)
        self.tell(_sentence(layer), 0.8)
        if np.isfinite(tried.after) and tried.after < tried.before:
            both = (fitted.merged(judged) if judged.count else fitted).moments()
            self._write(*self._bent(both, start, tried.strength))
            return Refit(layer.name, tried.before, tried.after)
        if np.isfinite(tried.shifted) and tried.shifted < tried.before:
            self._write(start, tried.bias)
            return Refit(layer.name, tried.before, tried.shifted, Note.of("refit.bias_alone"))
        return Refit(layer.name, tried.before, tried.before, Note.of("refit.no_better"))

    def _tried(self, fitted: Gram, judged: Gram, start: Matrix, old: Matrix) -> _Tried:
        """Fits to some rows, judged on the others; the moments of both are let go."""
        moments, held = fitted.moments(), (judged if judged.count else fitted).moments()
        factors = FACTORS if judged.count else FACTORS[:1]
        after, strength = self._strength(moments, held, start, factors)
        bias = free_bias(moments, start)
        before, shifted = self._judge(held, start, old, bias)
        self._filed = None
        return _Tried(before, after, strength, shifted, bias)

    def _write(self, weights: Matrix, bias: Matrix) -> None:
        self.task.layer.write(weights[:, :, np.argsort(self.task.layer.order)], bias)

    def _strength(
        self, moments: Moments, held: Moments, start: Matrix, factors: Sequence[float]
    ) -> tuple[float, float]:
        """(error on images held back, ridge) of the ridge that does best there."""
        wide = moments.second.shape[1] > BENT_WIDTH
        strengths = [self.strength * f for f in (factors[:2] if wide else factors)]
        pull = explained(moments, start)

        def fit(strength: float) -> tuple[Matrix, Matrix]:
            return Ridge(moments, start, strength, pull).fit(moments)

        at_once = memory.budget_bytes() // (SYSTEM_COPIES * moments.second.nbytes)
        fits = parallel.each(fit, strengths, at_once)
        errors = [self._judge(held, *self._bound(*fit, moments))[0] for fit in fits]
        return min(zip(errors, strengths, strict=True))

    def _sums(self) -> tuple[Gram, Gram]:
        """Sums over the images to fit on and over those to judge on."""
        batches = sorted(range(self.executor.count), key=self.reference.held)
        if not batches:
            raise ValueError("a fit without images")
        first = self._read(batches[0])
        shift = Shift.of(first.inputs, first.targets, self.task.layer.groups)
        counts = [len(self.reference.sites(self.task.source, batch)) for batch in batches]
        size = self.task.layer.groups * sum(counts) * shift.width * first.inputs.itemsize
        if size > min(ROWS_BYTES, memory.budget_bytes() // ROWS_SHARE):
            return self._streamed(batches, shift)
        held = sum(n for n, b in zip(counts, batches, strict=True) if self.reference.held(b))
        rows = Rows(
            self.task.layer.groups,
            (sum(counts) - held, held),
            shift,
            self.task.target.rectified,
            self.room,
        )

        def put(turn: int) -> None:
            some = self._read(batches[turn]) if turn else first
            rows.put(sum(counts[:turn]), some.inputs, some.targets, some.bounds, some.weights)

        parallel.each(put, range(len(batches)))
        self._rows = rows
        return rows.sums()

    def _streamed(self, batches: Sequence[int], shift: Shift) -> tuple[Gram, Gram]:
        """The same where the rows are too many to be kept."""
        grams = [Gram(self.task.layer.groups, shift) for _ in range(2)]
        for batch, rows in zip(batches, parallel.ahead(map(self._read, batches)), strict=True):
            grams[self.reference.held(batch)].add(rows.inputs, rows.targets, rows.weights)
        return grams[0], grams[1]

    def _read(self, batch: int) -> _Batch:
        task, reference = self.task, self.reference
        sites = reference.sites(task.source, batch)
        inputs = task.layer.seen(self.executor.value(task.layer.input, batch), sites)
        wanted, other = reference.wanted(task.source, batch), None
        if task.target.other:
            other = values_at(
                self.executor.value(task.target.other, batch), task.layer.channel_axis, sites
            )
        wanted = wanted if task.keep is None else wanted[:, task.keep]
        targets = task.target.targets(wanted, other)
        bounds = task.target.bounds(wanted, other, targets)
        weights = reference.weights(task.source, batch)
        return _Batch(inputs, targets, bounds, weights)

    def _bent(self, moments: Moments, start: Matrix, strength: float) -> tuple[Matrix, Matrix]:
        """The fit, with targets that a Relu zeroes moved to the prediction a few times."""
        system = Ridge(moments, start, strength)
        weights, bias = self._bound(*system.fit(moments), moments)
        if not self.task.target.rectified or self._rows is None:
            return weights, bias
        for _ in range(self.bends if moments.second.shape[1] <= BENT_WIDTH else 1):
            moved = self._rows.moved(moments, weights, bias)
            weights, bias = self._bound(*system.fit(moved), moved)
        return weights, bias

    def _bound(self, weights: Matrix, bias: Matrix, moments: Moments) -> tuple[Matrix, Matrix]:
        """Of the weights that the layer may have, those nearest to these."""
        if self.constrain is None:
            return weights, bias
        place = np.argsort(self.task.layer.order)
        if self._filed is None or self._filed[0] is not moments.second:
            self._filed = (moments.second, moments.second[:, place[:, None], place])
        second, cross = self._filed[1], moments.cross[:, place]
        as_filed = replace(moments, second=second, cross=cross, mean_in=moments.mean_in[:, place])
        bound = self.constrain(weights[:, :, place], as_filed)[:, :, self.task.layer.order]
        return bound, free_bias(moments, bound)

    def _judge(self, held: Moments, weights: Matrix, *biases: Matrix) -> list[float]:
        """Errors on held-out images with each bias, relative to the variance of the targets."""
        scale = (self.task.target.scale**2).reshape(self.task.layer.groups, -1)
        total, least = max(float((held.spread * scale).sum()), 1e-20), least_error(held, weights)
        errors = (least + offset_error(held, weights, bias) for bias in biases)
        return [float((found * scale).sum()) / total for found in errors]
