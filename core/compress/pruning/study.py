"""Calibration study: all that is learnt of a graph before anything is cut, each thing once.

The next ratio, criterion or budget on the same images starts from here: the original is not run
again, groups are not ranked again, effects are not measured again. In another process rankings and
effects are read from a file beside the images; sums over the inputs of layers, and what a refit
needs of the original, from two more, if they are not too large (`array_file`).
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from core import graph as graphs
from core.analysis import cost
from core.analysis.channels import Group, channel_map
from core.analysis.decisions import undecided
from core.analysis.shapes import facts
from core.calibration.services import Graph, Services, Tensors
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg import parallel
from core.compress.pruning import study_file
from core.compress.pruning.group_sensitivity import Effect, Trial
from core.compress.pruning.obs_ranking import Ranking, Reader, eliminate, needed_bytes, readers
from core.compress.refit import array_file
from core.compress.refit.linear_layers import Layer, find
from core.compress.refit.normal_equations import Gram, Matrix, Moments
from core.compress.refit.reference import Reference, Sampling
from core.compress.refit.residual_targets import ResidualTarget, residual_target
from core.compress.refit.sums_file import SumsFile
from core.compress.refit.telling import Tell, part, silent
from core.devices.local import memory
from core.errors import StoreError

DEPTHS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)  # shares of a group at which effects are measured
# Of a layer's importance, that does not depend on gradients: they say what small errors do, and a
# cut is none. Chosen by agreement with the original on images that no fit had seen.
EVEN = 0.6
TRIED_IMAGES, LEAST_TRIED = 128, 8  # on which effects are measured, by what that takes
TRIED_MACS = 2e12  # of all runs for effects: about half a minute
ROWS_PER_INPUT = 4  # of a layer: with fewer, a refit looks better than it is on its own rows
WEIGHTS_BYTES = 256 << 20  # of refitted layers that wait for their effects to be measured
RUN, RANKED = 0.45, 0.6  # shares of the time after which the original has run, groups are ranked
SUMS_SHARE = 4  # of the memory that is free, one part for sums while they are made
T = TypeVar("T")
Wish = tuple[tuple[int, ...] | None, int, frozenset[int]]  # order, depth, snapshots
log = logging.getLogger(__name__)


class Study:
    """A graph and its calibration images. Groups are those of `channels`."""

    def __init__(self, graph: Graph, services: Services, sampling: Sampling | None = None) -> None:
        """Look at the graph; nothing is run before it is asked for."""
        self.graph = graph.clone()
        self.channels = channel_map(self.graph)
        self.layers = {layer.output: layer for layer in find(self.graph)}
        self.reference = Reference(self.graph, services, sampling)
        order = {v.name or "": i for i, node in enumerate(self.graph.graph) for v in node.outputs}
        self._facts = facts(self.graph)
        self._targets = {
            o: residual_target(layer, order, self._facts) for o, layer in self.layers.items()
        }
        self._services = services
        self._grams: dict[str, Gram] = {}
        self._sums = SumsFile()
        self._rankings: dict[tuple[Group, tuple[int, ...] | None], Ranking] = {}
        self._effects: dict[tuple[Group, tuple[int, ...]], dict[int, Effect]] = {}
        self.labels: Array | None = None  # of `some_feeds(TRIED_IMAGES)`, where they are known
        self._readers: dict[Group, list[Reader]] = {}
        self._path: Path | None = None
        self.tell: Tell = silent

    def group(self, other: Group) -> Group:
        """The group of this study that is `other` in a copy of the graph."""
        return next(g for g in self.channels.groups if g.atoms == other.atoms)

    def rankings(
        self,
        groups: Sequence[Group],
        orders: Mapping[Group, tuple[int, ...]] | None = None,
        depths: Mapping[Group, int] | None = None,
    ) -> dict[Group, Ranking]:
        """The ranking of each group that some layer reads.

        Args:
            groups: of this study.
            orders: in which the atoms go, where that was decided otherwise.
            depths: how many atoms of a group need be ranked; all where it is not named.
        """
        orders, depths = orders or {}, depths or {}
        wanted = {g: depths.get(g, len(g.atoms)) for g in groups if self.readers(g)}
        known = {g: self._rankings.get((g, orders.get(g))) for g in wanted}
        missing = {g: d for g, d in wanted.items() if (r := known[g]) is None or r.depth < d}
        wishes: dict[Group, Wish] = {g: (orders.get(g), d, frozenset()) for g, d in missing.items()}
        found = self._ranked(wishes, part(self.tell, RUN, RANKED))
        self._rankings |= {(g, orders.get(g)): ranking for g, ranking in found.items()}
        if found:
            self._keep()
        keys = {g: (g, orders.get(g)) for g in groups}
        return {g: self._rankings[k] for g, k in keys.items() if k in self._rankings}

    def _ranked(self, wishes: Mapping[Group, Wish], tell: Tell) -> dict[Group, Ranking]:
        """Rankings of groups that some layer reads, made anew, one group on each core."""
        reading = {group: self.readers(group) for group in wishes}
        self._observe({r.layer.output for some in reading.values() for r in some})
        sizes = {group: needed_bytes(some) for group, some in reading.items()}

        def rank(group: Group) -> Ranking:
            order, depth, snapshots = wishes[group]
            tell(f"Ranking the channels of {group.layers[0]}", len(done) / len(wishes))
            done.append(group)
            layers = [reader.layer for reader in reading[group]]
            known = {layer.output: self._importance(layer) for layer in layers}
            matters = {o: _evened(m) for o, m in known.items() if m is not None}
            judge = matters if len(matters) == len(known) else {}
            return eliminate(group, reading[group], self._grams, judge, snapshots, order, depth)

        done: list[Group] = []
        ordered = sorted(wishes, key=sizes.__getitem__, reverse=True)
        at_once = memory.budget_bytes() // max([1, *sizes.values()])
        return dict(zip(ordered, parallel.each(rank, ordered, at_once), strict=True))

    def effects(self, rankings: Mapping[Group, Ranking]) -> dict[Group, dict[int, Effect]]:
        """What cutting each group alone, by its ranking, does to the outputs."""
        missing = {g: r for g, r in rankings.items() if not self._is_measured(g, r)}
        if missing:
            few = self.some_feeds(self._tried_images(len(missing)))
            trial = Trial(undecided(self.graph), self._services, few, self.labels)
            tell, done = part(self.tell, RANKED, 1.0), 0
            for some in self._stretches(trial.in_order(missing, self.readers)):
                wishes = {g: (missing[g].order, 0, _snapshots(g)) for g in some}
                ranked = self._ranked(wishes, silent)
                for group in some:
                    tell(f"Trying cuts of {group.layers[0]}", done / len(missing))
                    done += 1
                    self._effects[group, missing[group].order] = trial.effects(
                        group, ranked.pop(group), self.readers(group), self._grams
                    )
            self._keep()
        known = {g: (g, r.order) for g, r in rankings.items()}
        return {g: self._effects[key] for g, key in known.items() if key in self._effects}

    def _stretches(self, groups: Sequence[Group]) -> Iterator[list[Group]]:
        """In order, as many at a time as their refitted layers may take memory."""
        most = min(WEIGHTS_BYTES, memory.budget_bytes() // 8)
        each = {g: sum(4 * r.layer.weight.size for r in self.readers(g)) for g in groups}
        return _split(groups, each, most // len(DEPTHS))

    def _tried_images(self, groups: int) -> int:
        """On how many images the effects of so many groups are measured."""
        whole = cost.totals(self.graph)[1] or 0  # nothing is known of an open shape
        macs = whole * groups * len(DEPTHS) / 2  # half of the net is run
        return int(np.clip(TRIED_MACS / max(macs, 1), LEAST_TRIED, TRIED_IMAGES))

    def _is_measured(self, group: Group, ranking: Ranking) -> bool:
        """Whether the effects are known, with what they cost in accuracy if labels are."""
        known = self._effects.get((group, ranking.order))
        return known is not None and (
            self.labels is None
            or all(e.agreement is None or e.accuracy_lost is not None for e in known.values())
        )

    def sensitivity(self, groups: Sequence[Group]) -> tuple[Effect, ...]:
        """Group x depth, for a heat map: what each cut alone does to the outputs."""
        found = self.effects(self.rankings(groups))
        return tuple(effects[depth] for effects in found.values() for depth in sorted(effects))

    def save(self, path: Path) -> None:
        """Write what was ranked and measured, so that another process need not do it again.

        Raises:
            OSError: the disk is full or not to be written to.
        """
        study_file.write(path, self._rankings, self._effects)

    def load(self, path: Path) -> None:
        """Read what `save` wrote for the same graph and images.

        Raises:
            StoreError: not such a file.
        """
        rankings, effects = study_file.read(path, self.channels.groups)
        self._rankings |= rankings
        self._effects |= effects

    def keep_at(self, path: Path) -> None:
        """Go on from what lies there, and leave there whatever is learnt from now on.

        A file that is damaged is as good as none, and a disk that is full costs only time.
        """
        self._path = path
        self._sums = SumsFile(path.with_name(f"{path.stem}-sums{array_file.SUFFIX}"))
        self.reference.keep_at(path.with_suffix(array_file.SUFFIX))
        if path.exists():
            try:
                self.load(path)
            except StoreError as error:
                log.warning("%s", error.message)

    def _keep(self) -> None:
        if self._path is not None:
            try:
                self.save(self._path)
            except OSError as error:
                log.warning("The study is not kept: %s", error)

    def activity(self, group: Group) -> Matrix:
        """For each atom: the mean square of what it sends into the layers that read it."""
        reading = self.readers(group)
        self._observe({r.layer.output for r in reading})
        total = np.zeros(len(group.atoms))
        for reader in reading:
            power = np.diagonal(self._grams[reader.layer.output].second_moment(), axis1=1, axis2=2)
            sent = ((reader.layer.matrix() ** 2).sum(1) * power).reshape(-1)
            share = np.array([sent[reader.columns.get(a, [])].sum() for a in group.atoms])
            total += share / max(float(sent.sum()), 1e-20)
        return total

    def readers(self, group: Group) -> list[Reader]:
        """The layers that read a group."""
        if group not in self._readers:
            self._readers[group] = readers(self.channels, group, list(self.layers.values()))
        return self._readers[group]

    def some_feeds(self, images: int) -> list[Tensors]:
        """Batches with about so many images, which no ranking has seen where rows are few."""
        every = self.reference.feeds
        back = [self._held_back and self.reference.held(batch) for batch in range(len(every))]
        held = [feeds for feeds, is_back in zip(every, back, strict=True) if is_back]
        chosen: list[Tensors] = []
        for feeds in held or every:
            chosen.append(feeds)
            images -= len(next(iter(feeds.values())))
            if images <= 0:
                break
        return chosen

    @functools.cached_property
    def _held_back(self) -> bool:
        """Whether effects are measured on images that no ranking saw.

        They are where some layer has few rows, as a classifier behind a pool has: it fits what it
        was ranked on, whatever is cut. Where all have many, every image is better used for both.
        """
        return any(self._has_few_rows(layer) for layer in self.layers.values())

    def _has_few_rows(self, layer: Layer) -> bool:
        shape = next(
            self._facts.shape(v)
            for node in layer.ends
            for v in node.outputs
            if v.name == layer.output
        )
        axis = layer.channel_axis % max(len(shape or ()), 1)
        if shape is None or not isinstance(outputs := shape[axis], int) or not outputs:
            return False
        sizes = [d for a, d in enumerate(shape) if a not in (0, axis)]
        area = int(np.prod([d for d in sizes if isinstance(d, int)]))
        if any(not isinstance(d, int) for d in sizes):
            area = self.reference.places(outputs)
        rows = self.reference.images * min(area, self.reference.places(outputs))
        return bool(rows < ROWS_PER_INPUT * layer.weight.size // outputs)

    def moments(self, outputs: Collection[str]) -> dict[str, Moments]:
        """Moments of the inputs of these layers, by name of the layer's output."""
        self._observe(set(outputs))
        return {output: self._grams[output].moments() for output in outputs}

    def importance(self, output: str) -> Array | None:
        """How much errors of a layer's outputs matter together, (outputs, outputs), if known.

        The layer is named by its output and its moments have been asked for.
        """
        return self._importance(self.layers[output])

    def observe(self, outputs: Collection[str]) -> None:
        """Run the original for what `moments` and `importance` tell of these layers."""
        self._observe(set(outputs))

    def _observe(self, outputs: set[str]) -> None:
        """Sum up the inputs of these layers, while the original runs: once, if memory allows."""
        asked = sorted(outputs - set(self._grams))
        self._grams |= self._sums.read(asked)
        missing = [o for o in asked if o not in self._grams]
        sizes = {o: _sum_bytes(self.layers[o]) for o in missing}
        runs = list(_split(missing, sizes, memory.budget_bytes() // SUMS_SHARE))
        if len(runs) > 1 and not self._sums.kept:
            self._sums = SumsFile.scratch()
        for number, some in enumerate(runs):
            ends = (RUN * (number + at) / len(runs) for at in (0, 1))
            self._sum_up({o: self.layers[o] for o in some}, part(self.tell, *ends))

    def _sum_up(self, missing: Mapping[str, Layer], tell: Tell) -> None:
        """Run the original, and for these layers at the same time."""
        tell("Running the original", 0.0)
        axes = {a.tensor: self.layers[o].channel_axis for o, a in self._targets.items()}
        grams = {o: Gram(layer.groups) for o, layer in missing.items()}

        def visit(batch: int, values: Tensors) -> None:
            if self._held_back and self.reference.held(batch):
                return

            def add(output: str) -> None:
                sites = self.reference.sites(self._targets[output].tensor, batch)
                layer = missing[output]
                grams[output].add(layer.rows(values[layer.input], sites))

            parallel.each(add, widest)
            tell("Running the original", (batch + 1) / len(self.reference.feeds))

        widest = sorted(missing, key=lambda o: missing[o].weight.size, reverse=True)
        self.reference.sample(axes, [layer.input for layer in missing.values()], visit)
        for gram in grams.values():
            gram.rest()
        self._grams |= grams
        if self._sums.write(self._grams):
            self._grams |= self._sums.read(self._grams)

    def _importance(self, layer: Layer) -> Array | None:
        """How much an error of the layer's outputs matters, over all its places."""
        goal: ResidualTarget = self._targets[layer.output]
        matters = self.reference.importance(goal.tensor)
        if matters is None:
            return None
        sites = self.reference.sites(goal.tensor, 0)
        value = next(v for n in self.graph.graph for v in n.outputs if v.name == goal.tensor)
        shape = self._facts.shape(value) or ()
        axis = layer.channel_axis % max(len(shape), 1)
        sizes = [d for a, d in enumerate(shape) if a not in (0, axis)]
        known = [d for d in sizes if isinstance(d, int)]
        places = float(np.prod(known)) if len(known) == len(sizes) else float(len(sites))
        return np.asarray(matters * np.outer(goal.scale, goal.scale) * places)


def _split(names: Sequence[T], sizes: Mapping[T, int], most: int) -> Iterator[list[T]]:
    """In order, as many at a time as are no larger than `most` together."""
    row, held = list[T](), 0
    for name in names:
        if row and held + sizes[name] > most:
            yield row
            row, held = [], 0
        row.append(name)
        held += sizes[name]
    if row:
        yield row


def _sum_bytes(layer: Layer) -> int:
    """Of the sums over its inputs while rows come."""
    groups, _, d = layer.matrix().shape
    return 8 * int(groups) * int(d + 1) ** 2


def _snapshots(group: Group) -> frozenset[int]:
    """Counts of atoms gone at which a cut is tried."""
    return frozenset(max(1, round(share * len(group.atoms))) for share in DEPTHS)


def _evened(importance: Array) -> Array:
    """Mixed with a multiple of the identity of the same trace."""
    size = len(importance)
    even = np.trace(importance) / size * np.eye(size)
    return np.asarray((1 - EVEN) * importance + EVEN * even)


def study(graph: Graph, services: Services) -> Study:
    """The study of `graph` on these images, remembered with them."""
    key = hashlib.sha256(graphs.serialize(graph)).hexdigest()

    def make() -> Study:
        made = Study(graph, services)
        if services.studies is not None:
            made.keep_at(study_file.path_for(services.studies, key))
        return made

    return services.remember(f"study:{key}", make)
