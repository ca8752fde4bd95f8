"""Group sensitivity: what cutting one group alone does to the outputs; measured, not derived.

For each group and each depth of cut, the layers that read the group take the weights that the
elimination left them, which is their exact least-squares refit, and the rest of the network is run
on some calibration images. Nothing else is refitted, so the numbers are upper bounds on what a cut
of that group alone costs, and comparable over groups.

    error = sum |outputs - original|^2 / sum |original - its mean|^2

The graph that is measured gives out what it decides by (`core.analysis.decisions`): logits, not
probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.analysis.channels import Group
from core.calibration.services import Graph, Services, Tensors
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.graph_executor.spill_cache import Array
from core.compress.pruning.obs_ranking import Ranking, Reader
from core.compress.refit.linear_layers import find
from core.compress.refit.normal_equations import Gram


@dataclass(frozen=True, slots=True)
class Effect:
    """What one cut alone does.

    Attributes:
        layers: the layers that make the channels.
        removed, channels: how many went, of how many.
        error: of the outputs, relative to their variance.
        agreement: percent of the images with the same first class; None if the output has none.
        accuracy_lost: points of top-1 on these images; None if they have no labels.
    """

    layers: tuple[str, ...]
    removed: int
    channels: int
    error: float
    agreement: float | None
    accuracy_lost: float | None = None


class Trial:
    """A graph in which one group after the other is cut, in the order in which it is computed."""

    def __init__(
        self,
        graph: Graph,
        services: Services,
        feeds: Sequence[Tensors],
        labels: Array | None = None,
    ) -> None:
        """Run the original.

        Args:
            graph: the original, giving out logits; only read.
            services: to run with.
            feeds: the images.
            labels: the class of each of them, if it is known.
        """
        self._names = [v.name or "" for v in graph.graph.outputs]
        self._order = {v.name: i for i, node in enumerate(graph.graph) for v in node.outputs}
        self._services, self._labels = services, labels
        self._executor = GraphExecutor(graph, services.runner, feeds)
        whole = GraphExecutor(graph, services.runner, feeds)
        whole.reach(self._names)
        self._true = [[whole.value(n, b) for b in range(len(feeds))] for n in self._names]

    def in_order(
        self, groups: Iterable[Group], readers: Callable[[Group], Sequence[Reader]]
    ) -> list[Group]:
        """The groups as `effects` wants them one after the other."""
        return sorted(groups, key=lambda group: self._place(self._first(readers(group))))

    def effects(
        self, group: Group, ranking: Ranking, reading: Sequence[Reader], grams: Mapping[str, Gram]
    ) -> dict[int, Effect]:
        """The effect of every snapshot of a ranking; 1 piece of the graph is run for each.

        Args:
            group: that is cut.
            ranking: of it, with weights.
            reading: the layers that read the group.
            grams: sums of their inputs, by output.
        """
        self._executor.reach([self._first(reading).layer.input])
        found = {}
        for count, changed in ranking.weights.items():
            made = _outputs(self._executor, self._names, changed, grams, self._services)
            found[count] = _effect(group, count, self._true, made, self._labels)
        return found

    def _first(self, reading: Sequence[Reader]) -> Reader:
        return min(reading, key=self._place)

    def _place(self, reader: Reader) -> int:
        return self._order[reader.layer.node.outputs[0].name]


def _outputs(
    executor: GraphExecutor,
    names: Sequence[str],
    changed: Mapping[str, Array],
    grams: Mapping[str, Gram],
    services: Services,
) -> list[list[Array]]:
    piece, read = executor.rest(names)
    for layer in find(piece):
        if layer.output in changed:
            mean, matrix = grams[layer.output].moments().mean_in, changed[layer.output]
            lost = np.einsum("god,gd->go", layer.matrix() - matrix, mean)
            layer.write(matrix, layer.bias() + lost.reshape(-1))
    run = services.runner(piece, list(names))
    made = [run({n: executor.value(n, b) for n in read}) for b in range(executor.count)]
    return [[values[n] for values in made] for n in names]


def _effect(
    group: Group,
    count: int,
    true: Sequence[list[Array]],
    made: Sequence[list[Array]],
    labels: Array | None,
) -> Effect:
    errors, agreement, lost = [], None, None
    for wanted, got in zip(true, made, strict=True):
        if wanted[0].dtype.kind == "f":
            a, b = np.concatenate(wanted).astype(np.float64), np.concatenate(got)
            errors.append(relative_error(a, b))
            scores = of_classes(a)
            if scores is not None and agreement is None:
                mine = b.reshape(scores.shape)
                agreement = float(100 * (scores.argmax(1) == mine.argmax(1)).mean())
                lost = None if labels is None else _lost(scores, mine, labels)
    wide = group.width
    return Effect(
        group.layers,
        count * wide,
        len(group.atoms) * wide,
        float(np.mean(errors)),
        agreement,
        lost,
    )


def of_classes(outputs: Array) -> Array | None:
    """Outputs as (images, classes), whatever axes of size 1 there are; None if they are no such."""
    wide = [size for size in outputs.shape[1:] if size > 1]
    return outputs.reshape(len(outputs), -1) if len(wide) == 1 else None


def _lost(wanted: Array, got: Array, labels: Array) -> float:
    """Points of top-1 that are lost; negative where they are gained."""
    before, after = (float((side.argmax(1) == labels).mean()) for side in (wanted, got))
    return 100 * (before - after)


def relative_error(wanted: Array, got: Array) -> float:
    """Squared error relative to the variance over the images."""
    spread = float(((wanted - wanted.mean(0)) ** 2).sum())
    return float(((got - wanted) ** 2).sum()) / max(spread, 1e-20)
