"""Remove whole channels everywhere they live, the weakest of each dependency group first.

The groups come from `core.analysis.channels`, the ranking from `core.analysis.selection`. The cut
is exact: the result computes what the original computes with the removed channels zeroed. Accuracy
drops with the ratio, since nothing is trained or refitted afterwards.

Source: Li et al. 2017, arXiv:1608.08710; Fang et al. 2023, arXiv:2301.12900.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from core.analysis import selection
from core.analysis.channels import ChannelMap, Group, channel_map
from core.analysis.surgery import remove
from core.passes.base import Graph, Pass, Report, Statistics, parameter


@dataclass(frozen=True)
class PruneChannels(Pass):
    """Cut the weakest channels out of every group of layers that share them."""

    label: ClassVar[str] = "Prune channels"
    help: ClassVar[str] = (
        "Removes the weakest channels from every layer that carries them: fewer parameters and "
        "MACs on every backend. Costs accuracy, since the network is not trained afterwards."
    )
    order: ClassVar[int] = 30

    ratio: float = parameter(
        0.25,
        "Ratio",
        "Share of the channels of each group to remove.",
        low=0.0,
        high=0.9,
        step=0.05,
    )
    criterion: str = parameter(
        "l1", "Criterion", "What makes a channel weak: the L1 or L2 norm of its filters.",
        choices=("l1", "l2"),
    )  # fmt: skip
    scope: str = parameter(
        "inner",
        "Scope",
        "inner: only channels inside blocks. all: also residual streams, which run through many "
        "layers; that shrinks more and costs far more accuracy.",
        choices=("inner", "all"),
    )
    multiple: int = parameter(
        8,
        "Multiple",
        "Kept channels are rounded to a multiple of this, as fast kernels want them; groups no "
        "wider than it stay whole. 1 keeps the exact ratio.",
        unit="channels", low=1, high=64, step=1, expert=True,
    )  # fmt: skip
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers whose weights must not change.", expert=True
    )

    def apply(self, graph: Graph, report: Report, statistics: Statistics) -> None:
        """Choose per group, cut, say what went."""
        channels = channel_map(graph)
        chosen = self.choose(channels, report)
        report.changed = remove(channels, {a for picked in chosen.values() for a in picked})
        self._say(chosen, report)

    def choose(self, channels: ChannelMap, report: Report) -> dict[Group, tuple[int, ...]]:
        """The atoms to remove from each group that may be cut; changes nothing."""
        groups = self._open(channels.groups, report)
        order = {"l1": 1, "l2": 2}[self.criterion]
        scores = {group: selection.magnitude(group, order) for group in groups}
        chosen = selection.uniform(groups, scores, self.ratio, self.multiple)
        self._guard(channels, chosen, report)
        return chosen

    def _open(self, groups: Sequence[Group], report: Report) -> list[Group]:
        """Groups that may be cut; the others are reported with their reason."""
        free = []
        excluded = frozenset(self.exclude)
        known = {name for group in groups for name in selection.touches(group)}
        for name in sorted(excluded - known):
            report.skip(name, "no prunable layer has this name")
        for group in groups:
            reason = group.frozen
            if not reason and excluded & selection.touches(group):
                reason = "left alone as asked"
            if not reason and group.stream and self.scope == "inner":
                reason = "part of a residual stream; the scope is inner"
            if reason:
                report.skip(_title(group), reason)
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
                report.skip(_title(group), "would leave a tensor without channels")

    def _say(self, chosen: dict[Group, tuple[int, ...]], report: Report) -> None:
        total = sum(len(group.atoms) * group.width for group in chosen)
        gone = sum(len(picked) * group.width for group, picked in chosen.items())
        if not chosen:
            report.note("No channel of this graph can be removed; nothing was changed.")
            return
        if not gone:
            report.note(
                f"Nothing was removed: at {self.ratio:.0%}, rounded to multiples of "
                f"{self.multiple}, each of the {len(chosen)} groups keeps all its channels."
            )
            return
        cut = sum(bool(picked) for picked in chosen.values())
        report.note(
            f"{gone} of {total} channels removed ({gone / total:.0%}) from {cut} of "
            f"{len(chosen)} groups; {report.changed} tensors became smaller."
        )
        for group, picked in chosen.items():
            before, after = len(group.atoms), len(group.atoms) - len(picked)
            if picked:
                report.note(f"{_title(group)}: {before * group.width} -> {after * group.width}")
            elif self.ratio:
                report.skip(
                    _title(group),
                    f"keeps its {before * group.width} channels: rounded to a multiple of "
                    f"{self.multiple}",
                )


def _title(group: Group) -> str:
    """The layers of a group, the first few by name."""
    names = group.layers
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


PASS = PruneChannels
