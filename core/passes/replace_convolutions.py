"""Replace k x k convolutions by two or three cheaper layers, refitted to what they stood for.

Each kernel becomes a product of factors (`forms`): spatial SVD (k x 1 and 1 x k), Tucker-2 (1 x 1,
k x k, 1 x 1), or network decoupling (depthwise, 1 x 1). Which layers, which forms and which ranks
is one allocation over the whole network (`candidates`, `core.compress.knapsack`): the least error
of its output within a budget of MACs, bytes, or measured time on one backend. Then original and
replacement are walked together, and each product is fitted to what the original computes there,
given what everything before it has become (`core.compress.refit.sequential_refit`, `fitting`);
the layers in between are refitted too. The graph holds the products multiplied out until all are
fitted, and is rewritten last.

Without calibration images the factors are those of the plain singular value decomposition, and
nothing is refitted; that costs far more accuracy.

Source: see `forms`; He, Zhang, Sun 2017, arXiv:1707.06168 (sequential refitting).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.analysis import cost
from core.analysis.layer_signatures import signatures
from core.calibration.services import Services
from core.calibration.targets import offered, reference
from core.compress import knapsack
from core.compress.decomposition.candidates import RANKS, Candidates, Choice, Price, candidates_of
from core.compress.decomposition.eligible import Target, targets
from core.compress.decomposition.forms import CHOICES, FORMS
from core.compress.decomposition.layer_statistics import LayerStatistics, at_once, fitted, weigh
from core.compress.decomposition.rewrite import replace_node
from core.compress.linalg import parallel
from core.compress.pruning.study import RUN
from core.compress.refit.linear_layers import find
from core.compress.refit.needs import Needs, Workload, of_a_refit
from core.compress.refit.refit_plan import ChannelMapping
from core.compress.refit.sequential_refit import refit
from core.compress.refit.telling import part
from core.errors import PassPrecondition
from core.passes.base import SIZE, TIME, Gentler, Graph, Pass, Report, Tries, parameter
from core.records import Note

# Shares of the time after which: the original has run, replacements are tried, those taken fitted.
LOOKED, FITTED, REFITTED = 0.35, 0.5, 0.6
STEP = 0.25  # of the speed-up
UNITS = {"macs": "MACs", "bytes": "bytes", "latency": "seconds"}


@dataclass(frozen=True)
class ReplaceConvolutions(Pass):
    """Take k x k convolutions apart where that is cheaper, and refit what is left."""

    label: ClassVar[str] = "Replace convolutions"
    help: ClassVar[str] = (
        "Writes k × k convolutions as two or three cheaper layers, refitted to the calibration "
        "images. Does not help layers that are 1 × 1 or depthwise already. Fewer MACs are not "
        "always less time: with a budget of latency, measured layer times decide."
    )
    gives: ClassVar[str] = (
        "writes k × k convolutions as two or three cheaper layers (spatial SVD, Tucker-2, "
        "depthwise + 1 × 1), refitted to the images; by MACs, bytes or measured layer times"
    )
    limits: ClassVar[str] = "layers of few channels, and where the pieces are not faster: they stay"
    order: ClassVar[int] = 25
    pays: ClassVar[Mapping[str, Tries]] = {
        TIME: tuple({"budget": "latency", "speedup": by} for by in (1.25, 1.5, 2.0)),
        SIZE: tuple({"budget": "bytes", "speedup": by} for by in (1.25, 1.5)),
    }
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "advice.separable": {"form": "depthwise_pointwise"}
    }

    form: str = parameter(
        "spatial_svd",
        "Form",
        "What a convolution becomes. Spatial SVD: k × 1 and 1 × k, in the better order. Tucker-2: "
        "1 × 1, a narrower k × k, 1 × 1. Depthwise: a few depthwise kernels, then 1 × 1. Best: for "
        "each layer the form with the least error.",
        choices=tuple(CHOICES),
        names={
            "spatial_svd": "spatial SVD",
            "tucker2": "Tucker-2",
            "depthwise_pointwise": "depthwise + 1 × 1",
        },
    )
    speedup: float = parameter(
        2.0,
        "Speed-up",
        "How many times less of the budget the whole model is to need.",
        unit="x", low=1.0, high=6.0, step=STEP,
    )  # fmt: skip
    budget: str = parameter(
        "macs",
        "Budget",
        "What is to shrink: MACs, bytes of weights, or latency by the measured times of the "
        "layers. With latency, only what was measured faster is replaced.",
        choices=("macs", "latency", "bytes"),
        names={"macs": "MACs"},
    )
    backend: str = parameter(
        reference(),
        "Backend",
        "The runtime on which the layers are timed for a budget of latency.",
        choices=offered(),
        only_with=("budget", ("latency",)),
    )
    multiple: int = parameter(
        8,
        "Multiple",
        "The channels between the pieces are a multiple of this, which is fast.",
        unit="channels", low=1, high=64, step=1, expert=True,
    )  # fmt: skip
    tolerance: float = parameter(
        0.5,
        "Tolerance",
        "A layer stays if its output would change by more than this share of its variance, before "
        "anything is refitted.",
        low=0.0, high=1.0, step=0.05, expert=True,
    )  # fmt: skip
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of convolutions that must not change.", expert=True
    )

    def gentler(self) -> Iterator[Gentler]:
        """Less speed-up, by steps of the slider."""
        for count in range(math.ceil((self.speedup - 1) / STEP) - 1, 0, -1):
            yield Gentler(replace(self, speedup=1 + STEP * count))

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Choose for all layers at once, refit, rewrite.

        Raises:
            PassPrecondition: the budget is latency and no layer times were given.
        """
        price = self._price(services)
        found = targets(graph, self.exclude, report.skip)
        if not found:
            report.note(Note.of("replace.none_fits"))
            return
        known = LayerStatistics.of(graph, found, services, part(report.tell, 0.0, LOOKED / RUN))
        candidates = self._candidates(found, known, price, report)
        total = _total(graph, price)
        chosen = self._choose(candidates, total, report)
        if not chosen:
            report.note(Note.of("replace.none_worth"))
            return
        report.tell("Fitting the replacements", FITTED)
        bound = fitted(chosen, known)
        if known.study is not None:
            mappings = {layer.output: ChannelMapping(layer.output) for layer in find(graph)}
            refit(
                graph,
                mappings,
                known.study.reference,
                constraints=bound,
                tell=part(report.tell, REFITTED, 1.0),
            )
        for one, choice in chosen:
            layer = one.target.layer
            factors = bound[layer.output].factors()
            replace_node(layer.node, choice.chain, choice.form, factors)
            report.changed += 1
        self._say(chosen, total, services, report)

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """See `core.compress.refit.needs`."""
        return of_a_refit(graph, work)

    def preview(self, graph: Graph, report: Report) -> bool:
        """Sizes of about the right magnitude: which layers shrink most depends on the images."""
        found = targets(graph, self.exclude, report.skip)
        forms = [FORMS[CHOICES[self.form][0]]]
        for target in found:
            before = Price("macs").of((target.signature,)) or 0.0
            fits = [
                (form, rank, chain)
                for form in forms
                if not form.refuses(target.signature)
                for rank in form.ranks(target.signature, self.multiple, RANKS)
                if (Price("macs").of(chain := form.chain(target.signature, rank)) or 0.0)
                <= before / self.speedup
            ]
            if fits:
                form, rank, chain = fits[-1]
                blank = form.zeros(target.layer.weight.shape, rank)
                replace_node(target.layer.node, chain, form, blank)
                report.changed += 1
        return False

    def timed_on(self) -> str:
        """The backend of a budget of latency."""
        return self.backend if self.budget == "latency" else ""

    def _price(self, services: Services) -> Price:
        if self.budget == "latency" and services.timings is None:
            raise PassPrecondition(
                "A budget of latency needs measured layer times of this model; without them, "
                "choose macs or bytes."
            )
        return Price(self.budget, services.timings)

    def _candidates(
        self,
        found: Sequence[Target],
        known: LayerStatistics,
        price: Price,
        report: Report,
    ) -> list[Candidates]:
        """What each layer could become; those that could become nothing are reported."""
        forms, done = CHOICES[self.form], list[Target]()
        tell = part(report.tell, LOOKED, FITTED)

        def of(target: Target) -> Candidates:
            done.append(target)
            tell(f"Taking {target.name} apart", len(done) / len(found))
            metric, second = known.metric(target), known.second(target)
            return candidates_of(
                target, metric, second, forms, price, self.multiple, self.tolerance
            )

        candidates = parallel.each(of, found, at_once(found), weigh)
        for one in candidates:
            if one.reason is not None:
                report.skip(one.target.name, one.reason)
        return [one for one in candidates if one.choices]

    def _choose(
        self, candidates: Sequence[Candidates], total: float, report: Report
    ) -> list[tuple[Candidates, Choice]]:
        """The replacement of each layer that gets one."""
        fixed = total - sum(one.cost for one in candidates)
        picked = knapsack.relaxed([one.offers for one in candidates], total / self.speedup - fixed)
        chosen = []
        for one, index in zip(candidates, picked, strict=True):
            if index:
                chosen.append((one, one.choices[index - 1]))
            else:
                report.skip(one.target.name, Note.of("replace.not_needed"))
        return chosen

    def _say(
        self,
        chosen: Sequence[tuple[Candidates, Choice]],
        total: float,
        services: Services,
        report: Report,
    ) -> None:
        after = total - sum(one.cost - choice.cost for one, choice in chosen)
        unit = UNITS[self.budget]
        changed = {"before": total, "after": after, "unit": unit}
        report.note(Note.of("replace.replaced", layers=len(chosen), **changed))
        if after > 1.001 * total / self.speedup:
            report.note(Note.of("replace.unreached", speedup=self.speedup))
        if not services.count:
            report.note(Note.of("replace.no_images"))
        for one, choice in chosen:
            before = one.target.signature
            report.note(Note.of(
                "replace.layer", layer=one.target.name, inputs=before.inputs,
                outputs=before.outputs, kernel=before.kernel, form=choice.form.about,
                rank=choice.rank, before=one.cost, after=choice.cost, unit=unit, error=choice.error,
            ))  # fmt: skip


def _total(graph: Graph, price: Price) -> float:
    """What the whole model costs, as far as it is counted."""
    if price.budget == "macs":
        return float(cost.totals(graph)[1] or 0)
    if price.budget == "bytes":
        return float(sum(layer.size_bytes for layer in cost.layers(graph)))
    return sum(price.of((layer,)) or 0.0 for layer in signatures(graph).values())


PASS = ReplaceConvolutions
