"""What each convolution could become: forms and ranks, their costs and the error they bring.

The error of a choice is that of the layer's output before anything is refitted, relative to its
variance, in the metric of the calibration images; layers count alike. Weighting a layer by what its
error does to the outputs of the model, measured one layer at a time, was tried: the refitted
network came out worse, because the layers behind make good most of what they are told of. They do
so better for many small errors than for few large ones, hence the power in `offers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.analysis.layer_signatures import STEPS, macs, parameters
from core.compress.decomposition.alternating_least_squares import problem
from core.compress.decomposition.eligible import Target
from core.compress.decomposition.forms import FORMS, Factors, Form, Matrix, Rank
from core.compress.decomposition.norm import Metric
from core.compress.knapsack import Offer
from core.records import Note
from core.timings import Chain, LayerTimes

POWER = 1.5
RANKS = 24
FEWER = 0.97  # a replacement must cost less than this share of the layer: noise is no gain


@dataclass(frozen=True, eq=False)
class Choice:
    """One replacement of a layer; `error` is that of its output, factors are of what it weighs."""

    form: Form
    rank: Rank
    chain: Chain
    factors: Factors
    cost: float
    error: float


@dataclass(frozen=True, eq=False)
class Candidates:
    """The choices for a layer, and what it costs as it is.

    Attributes:
        target: the layer.
        metric: what errors of it count.
        cost: of the layer itself.
        choices: replacements that cost less, cheapest first; empty for the `reason`.
    """

    target: Target
    metric: Metric
    cost: float
    choices: tuple[Choice, ...]
    reason: Note | None = None

    @property
    def offers(self) -> list[Offer]:
        """The layer as it is, then its choices."""
        changed = [Offer(c.cost, c.error**POWER) for c in self.choices]
        return [Offer(self.cost, 0.0), *changed]


@dataclass(frozen=True)
class Price:
    """What a chain costs in one budget: MACs, bytes, or measured seconds."""

    budget: str
    timings: LayerTimes | None = None

    @property
    def most_ranks(self) -> int:
        """Ranks to try for a form: those that were timed, or enough to come near the best."""
        return STEPS if self.budget == "latency" else RANKS

    def of(self, chain: Chain) -> float | None:
        """The cost; None where it was not measured."""
        if self.budget == "macs":
            return float(macs(chain))
        if self.budget == "bytes":
            return 4.0 * parameters(chain)
        return self.timings.seconds(*chain) if self.timings else None


def candidates_of(
    target: Target,
    metric: Metric,
    second: Callable[[], Matrix],
    forms: Sequence[str],
    price: Price,
    multiple: int,
    tolerance: float,
) -> Candidates:
    """The choices for one layer.

    Args:
        target: the layer.
        metric: what errors of its outputs count.
        second: gives the covariance of its patches; asked once, if at all.
        forms: names of the forms to try.
        price: of the budget.
        multiple: ranks are multiples of this.
        tolerance: largest relative error of the layer's output.
    """
    cost = price.of((target.signature,))
    if cost is None:
        return Candidates(target, metric, 0.0, (), Note.of("replace.untimed"))
    fitting = [FORMS[name] for name in forms if not FORMS[name].refuses(target.signature)]
    if not fitting:
        refused = FORMS[forms[0]].refuses(target.signature)
        return Candidates(target, metric, cost, (), refused)
    cheaper = [
        (form, rank, chain, found)
        for form in fitting
        for rank in form.ranks(target.signature, multiple, price.most_ranks)
        if (found := price.of(chain := form.chain(target.signature, rank))) is not None
        and found < FEWER * cost
    ]
    if not cheaper:
        dear = Note.of("replace.none_cheaper", budget=price.budget)
        return Candidates(target, metric, cost, (), dear)
    choices = _choices(metric.weighed(kernel_of(target)), second(), cheaper)
    allowed = sorted((c for c in choices if c.error <= tolerance), key=lambda c: c.cost)
    if not allowed:
        least = min(choice.error for choice in choices)
        beyond = Note.of("replace.beyond_tolerance", tolerance=tolerance, least=least)
        return Candidates(target, metric, cost, (), beyond)
    return Candidates(target, metric, cost, tuple(_front(allowed)))


def kernel_of(target: Target) -> Matrix:
    """The weights as float64 (O, I, h, w)."""
    return np.asarray(target.layer.weight, np.float64)


def _choices(
    kernel: Matrix, second: Matrix, cheaper: Sequence[tuple[Form, Rank, Chain, float]]
) -> list[Choice]:
    """Each with its error; all ranks of a form are cut from the factors of the largest."""
    found = []
    for form in dict.fromkeys(one[0] for one in cheaper):
        mine = [one for one in cheaper if one[0] is form]
        ranks = [rank for _, rank, _, _ in mine]
        widest = form.start(kernel, second, ranks[-1])
        errors = problem(form, second, kernel.shape).errors(widest, ranks, kernel)
        found += [
            Choice(form, rank, chain, form.truncated(widest, rank), cost, error)
            for (_, rank, chain, cost), error in zip(mine, errors, strict=True)
        ]
    return found


def _front(choices: Sequence[Choice]) -> list[Choice]:
    """Those that no cheaper one beats; `choices` are sorted by cost."""
    kept: list[Choice] = []
    for choice in choices:
        if not kept or choice.error < kept[-1].error:
            kept.append(choice)
    return kept
