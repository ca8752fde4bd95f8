"""Remove whole channels everywhere they live, the weakest of each dependency group first.

The groups come from `core.analysis.channels`. The cut is exact: the result computes what the
original computes with the removed channels zeroed. With calibration images, channels are ranked by
what their removal costs behind a refit (`core.compress.pruning.obs_ranking`), a budget is spread
over the groups by the measured error of the outputs, and the layers that are left are refitted in
closed form (`core.compress.refit.sequential_refit`). Nothing is trained, and labels are not used.

Source: Fang et al. 2023, arXiv:2301.12900 (groups); Li et al. 2017, arXiv:1608.08710 (norms);
He, Zhang, Sun 2017, arXiv:1707.06168 (refit); Frantar, Alistarh 2022, arXiv:2208.11580 (order).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.analysis import selection
from core.analysis.channels import ChannelMap, Group, channel_map
from core.analysis.cost import totals
from core.analysis.surgery import remove
from core.calibration import targets
from core.calibration.services import NoServices, Services
from core.compress.pruning.study import RANKED, Study, study
from core.compress.refit.needs import Needs, Workload, of_a_refit
from core.compress.refit.telling import part
from core.errors import PassPrecondition
from core.passes.base import SIZE, TIME, Gentler, Graph, Pass, Report, Tries, parameter
from core.passes.prune_channels.choice import (
    Counts,
    Kernels,
    budget_of,
    by_images,
    by_magnitude,
    uniform,
    within_budget,
)
from core.passes.prune_channels.integer_kernels import fastest
from core.passes.prune_channels.repair import CHOSEN, channel_mappings, repair
from core.passes.prune_channels.reporting import EMPTIED, kept_all, nothing_to_cut, title
from core.records import Cut, Note
from core.timings import LayerTimes
from core.wording import sentence
from core.wording.pruning import rounding

STEP = 0.05  # of the sliders


@dataclass(frozen=True)
class PruneChannels(Pass):
    """Cut the weakest channels out of every group of layers that share them."""

    label: ClassVar[str] = "Prune channels"
    help: ClassVar[str] = (
        "Removes the weakest channels from every layer that carries them: fewer parameters and "
        "MACs on every backend. With calibration images the layers that are left are refitted, "
        "which keeps most of the accuracy; without, expect to lose a lot of it."
    )
    gives: ClassVar[str] = (
        "removes whole channels everywhere they live, by a ratio or a budget (MACs, bytes, "
        "parameters, measured latency), and refits the rest to calibration images"
    )
    limits: ClassVar[str] = (
        "without calibration images much more accuracy goes; latency moves in steps: kept counts "
        "that are multiples of 8 or 16 matter (`multiple`; by itself it follows the width of each "
        "group)"
    )
    order: ClassVar[int] = 30
    without_images: ClassVar[str] = (
        "No calibration images: channels are ranked by the norm of their filters, and nothing is "
        "refitted. Expect to lose much more accuracy than with images, which need no labels."
    )
    few_images: ClassVar[int] = 32
    pays: ClassVar[Mapping[str, Tries]] = {
        TIME: tuple({"budget": "latency", "target": share} for share in (0.85, 0.7, 0.5)),
        SIZE: tuple({"budget": "bytes", "target": share} for share in (0.85, 0.7, 0.5)),
    }
    for_integers: ClassVar[Mapping[str, Any]] = {"arithmetic": "int8"}
    with_few_images: ClassVar[str] = (
        "the repair is held back so that it does not adapt to these few alone, and restores less "
        "accuracy. 256 or more are better; they need no labels."
    )

    ratio: float = parameter(
        0.25,
        "Ratio",
        "Share of the channels to remove, in every group of layers that must keep the same ones.",
        low=0.0,
        high=0.9,
        step=STEP,
        only_with=("budget", ("none",)),
    )
    criterion: str = parameter(
        "obs",
        "Criterion",
        "Which channels go first. Effect (optimal brain surgeon, obs): those whose removal changes "
        "the outputs least once the layers behind are refitted; needs calibration images. "
        "Activation: those that send on least; needs images. L1, L2: those with the smallest "
        "weights, by the sum of their magnitudes or of their squares.",
        choices=("obs", "l1", "l2", "activation"),
        names={"obs": "effect", "l1": "L1", "l2": "L2"},
        needs_images=("obs", "activation"),
    )
    repair: bool = parameter(
        True,
        "Repair",
        "Refits the remaining weights so that the smaller network computes what the whole one did "
        "on the calibration images (least squares, no training). Needs images.",
        needs_images=(True,),
    )
    budget: str = parameter(
        "none",
        "Budget",
        "None: the same ratio in every group. Otherwise what is to become smaller: each group "
        "loses as much as it can bear until the target is met.",
        choices=("none", "macs", "bytes", "parameters", "latency"),
        names={"macs": "MACs"},
    )
    backend: str = parameter(
        targets.reference(),
        "Backend",
        "The runtime on which the layers are timed for a budget of latency.",
        choices=targets.offered(),
        only_with=("budget", ("latency",)),
    )
    arithmetic: str = parameter(
        "f32",
        "Timed in",
        "The arithmetic in which layers are timed for a budget of latency: int8 where int8 follows "
        "in the recipe, since integer kernels take their channels in blocks of their own.",
        choices=("f32", "int8"),
        only_with=("budget", ("latency",)),
        expert=True,
    )
    target: float = parameter(
        0.7,
        "Target",
        "How much may be left: 70 % of the MACs, for example.",
        low=0.05,
        high=1.0,
        step=STEP,
        only_with=("budget", ("macs", "bytes", "parameters", "latency")),
    )
    scope: str = parameter(
        "inner",
        "Scope",
        "Inside blocks (inner): only channels that a few layers share. Everywhere (all): also "
        "those that shortcuts carry through many layers, which shrinks more and costs more "
        "accuracy.",
        names={"inner": "inside blocks", "all": "everywhere"},
        choices=("inner", "all"),
    )
    multiple: int = parameter(
        selection.AUTO,
        "Multiple",
        "Kept channels are rounded to a multiple of this, which is fast; groups no "
        "wider than it stay whole. 1 keeps the exact ratio. 0 chooses for each group by its width "
        "(8 from 64 channels on, 4 from 32, 2 from 16) and meets the ratio on the whole; or, where "
        "int8 follows, as its kernels were timed to want it.",
        unit="channels", low=0, high=64, step=1, expert=True,
    )  # fmt: skip
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers whose weights must not change.", expert=True
    )

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Choose per group, cut, repair, say what went."""
        channels = channel_map(graph)
        self._look(graph, channels, report)
        learnt = study(graph, services) if services.count and self._uses_images else None
        if learnt is not None:
            last = RANKED if self.budget == "none" else 1.0  # of a study: no cut need be tried
            learnt.tell = part(report.tell, 0.0, CHOSEN / last)
        kernels = self._kernels(services)
        chosen = self.choose(channels, report, learnt, services.timings, kernels)
        atoms = {a for picked in chosen.values() for a in picked}
        if not atoms and self._asks:
            raise PassPrecondition(kept_all(chosen, self._wish, self._why_kept(report)))
        kept = channel_mappings(graph, channels, atoms)
        report.changed = remove(channels, atoms)
        self._say(chosen, report)
        if atoms and learnt is not None and self.repair:
            repair(graph, kept, learnt, report)
        elif atoms and not services.count:
            self._say_what_is_lost(report)

    def gentler(self) -> Iterator[Gentler]:
        """Smaller cuts, by steps of the slider."""
        by_ratio = self.budget == "none"
        asked = self.ratio if by_ratio else 1 - self.target
        for count in range(math.ceil(round(asked / STEP, 6)) - 1, 0, -1):
            less = round(STEP * count, 2)
            left = round(1 - less, 2)
            smaller = replace(self, ratio=less) if by_ratio else replace(self, target=left)
            yield Gentler(smaller, less / asked)

    def _kernels(self, services: Services) -> Kernels | None:
        """What times roundings where int8 follows and the multiple was left to the pass."""
        backend = services.integers_on
        if not backend or self.multiple != selection.AUTO or not self._asks:
            return None
        race = services.stopwatch(backend)
        return functools.partial(fastest, race=race, backend=backend) if race else None

    def _look(self, graph: Graph, channels: ChannelMap, report: Report) -> None:
        """See that there is something to cut and to count by, before images are run.

        Raises:
            PassPrecondition: there is nothing.
        """
        if self.budget == "macs" and totals(graph)[1] is None:
            raise PassPrecondition(
                "The MACs of this model are unknown: an input size is open. Freeze it, or set the "
                "budget in parameters or bytes."
            )
        seen = Report()
        if self._asks and not self._open(channels.groups, seen):
            report.skipped += seen.skipped
            raise PassPrecondition(nothing_to_cut(channels.groups, self.scope))

    def timed_in(self) -> str:
        """The arithmetic of a budget of latency."""
        return self.arithmetic

    def timed_on(self) -> str:
        """The backend of a budget of latency."""
        return self.backend if self.budget == "latency" else ""

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """See `core.compress.refit.needs`."""
        return of_a_refit(graph, work)

    def preview(self, graph: Graph, report: Report) -> bool:
        """Counts depend on the images where a budget is spread, on a race where int8 follows."""
        timeless = self.budget == "latency"  # which only measured times can spread
        counted = "macs" if totals(graph)[1] is not None else "parameters"
        budget = counted if timeless else self.budget
        cheap = replace(self, criterion="l1", repair=False, budget=budget)
        cheap.apply(graph, report, NoServices())
        return self.budget == "none"

    def choose(
        self,
        channels: ChannelMap,
        report: Report,
        learnt: Study | None = None,
        timings: LayerTimes | None = None,
        kernels: Kernels | None = None,
    ) -> dict[Group, tuple[int, ...]]:
        """The atoms to remove from each group that may be cut; changes nothing.

        Args:
            channels: of the graph.
            report: hears what was found.
            learnt: of the images, if there are any.
            timings: measured times, for a budget of latency.
            kernels: finds the multiple that suits those that will run; None: by width.

        Raises:
            PassPrecondition: a latency budget without measured times.
        """
        groups = self._open(channels.groups, report)
        alike = None
        if self.budget == "none":

            def shared(multiple: int) -> Counts:
                return uniform(groups, self.ratio, multiple, whole=True)

            found = kernels(channels, shared, report, 0.0) if kernels else self.multiple
            alike = uniform(groups, self.ratio, found, whole=bool(kernels))
        if learnt is None:
            known = by_magnitude(groups, 2 if self.criterion == "l2" else 1)
        else:
            known = by_images(groups, learnt, self.criterion, alike)
        if alike is not None:
            counts = alike
        else:
            budget = budget_of(self.budget, channels, timings, self.arithmetic)
            timed = self.budget == "latency" and self.multiple == selection.AUTO
            multiple = selection.WIDTHS[0] if timed else self.multiple  # as layers were timed
            if kernels and not timed:

                def spread(multiple: int) -> Counts:
                    return within_budget(known, budget, self.target, multiple, Report())

                multiple = kernels(channels, spread, report, CHOSEN)
            counts = within_budget(known, budget, self.target, multiple, report)
        chosen = {g: known.orders[g][: counts[g]] for g in groups}
        self._guard(channels, chosen, report)
        return chosen

    @property
    def _uses_images(self) -> bool:
        ranked = self.criterion in ("obs", "activation")
        return ranked or self.repair or self.budget != "none"

    def _say_what_is_lost(self, report: Report) -> None:
        """Without images there is neither a measured ranking nor a repair."""
        lost = []
        if self.criterion in ("obs", "activation"):
            lost.append("ranking")
        if self.budget != "none":
            lost.append("budget")
        if self.repair:
            lost.append("refit")
        if lost:
            report.note(Note.of("prune.no_images", lost=lost))

    def _open(self, groups: Sequence[Group], report: Report) -> list[Group]:
        """Groups that may be cut; the others are reported with their reason."""
        free = []
        excluded = frozenset(self.exclude)
        known = {name for group in groups for name in selection.touches(group)}
        for name in sorted(excluded - known):
            report.skip(name, Note.of("prune.no_such_layer"))
        for group in groups:
            if group.frozen:
                report.skip(title(group), group.frozen)
            elif excluded & selection.touches(group):
                report.skip(title(group), Note.of("as_asked"))
            elif group.stream and self.scope == "inner":
                report.skip(title(group), Note.of("prune.stream"))
            else:
                free.append(group)
        return free

    def _guard(
        self, channels: ChannelMap, chosen: dict[Group, tuple[int, ...]], report: Report
    ) -> None:
        """Put back what would leave a tensor without channels."""
        atoms = {atom for picked in chosen.values() for atom in picked}
        emptied = channels.emptied(atoms)
        for group, picked in chosen.items():
            if emptied.intersection(picked):
                chosen[group] = ()
                report.skip(title(group), EMPTIED)

    def _say(self, chosen: dict[Group, tuple[int, ...]], report: Report) -> None:
        report.cuts += [
            Cut(group.layers, len(picked) * group.width, len(group.atoms) * group.width)
            for group, picked in chosen.items()
        ]
        total = sum(len(group.atoms) * group.width for group in chosen)
        gone = sum(len(picked) * group.width for group, picked in chosen.items())
        if not gone:
            report.note(Note.of("prune.nothing"))
            return
        cut = sum(bool(picked) for picked in chosen.values())
        report.note(Note.of(
            "prune.removed", removed=gone, channels=total, cut=cut, groups=len(chosen),
            tensors=report.changed,
        ))  # fmt: skip
        for group, picked in chosen.items():
            before, after = len(group.atoms), len(group.atoms) - len(picked)
            if picked:
                sizes = {"before": before * group.width, "after": after * group.width}
                report.note(Note.of("prune.group", group=title(group), **sizes))
            elif self.ratio and self.budget == "none":
                rounded = {"channels": before * group.width, "multiple": self._rounded_to(report)}
                report.skip(title(group), Note.of("prune.rounded", **rounded))

    @property
    def _asks(self) -> bool:
        """Whether the parameters ask for less than there is."""
        return self.ratio > 0 if self.budget == "none" else self.target < 1

    def _why_kept(self, report: Report) -> str:
        if any(skip.reason == EMPTIED for skip in report.skipped):
            return sentence(EMPTIED)
        return f"rounded to {rounding(self._rounded_to(report))}, each of them stays whole"

    def _rounded_to(self, report: Report) -> int:
        """The multiple that counts were rounded to: the one that was timed, if any was chosen."""
        timed = (n.values["multiple"] for n in report.notes if n.code == "prune.integers")
        return int(next(timed, self.multiple))

    @property
    def _wish(self) -> str:
        if self.budget == "none":
            return f"{self.ratio:.0%}"
        return f"{self.target:.0%} of the {self.budget}"


PASS = PruneChannels
