"""A quantization without calibration images: ranges from batch norms, or from made-up images.

What judges a choice are made-up images here (smooth noise through the preprocessing). They tell how
much two graphs differ, not how often either is right; whatever rests on them says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from core.compress.quantization import calibrate, data_free
from core.compress.quantization.bn_statistics import ChannelMoments, norms, spread
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.observers import observe
from core.compress.quantization.partition import Selection, select
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.refit.linear_layers import Layer
from core.passes.base import Graph
from core.passes.quantize_int8.steps import Work
from core.records import Note

MARGIN = 2.0  # one of the eight bits, for what real images reach and made-up ones do not
MADE_UP = 16  # images that the ranges are taken from where no batch norm tells them


@dataclass
class DataFree(Work):
    """As with images, but for what only images can tell.

    Attributes:
        unfolded: the model before its batch norms were folded, where there is one.
        guessed: how pixels become inputs is a guess, so the reach of the inputs is none.
    """

    real: ClassVar[bool] = False
    unfolded: Graph | None = None
    guessed: bool = False
    _norms: Mapping[str, ChannelMoments] = field(init=False)
    _inputs: Mapping[str, ChannelMoments] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._norms = norms(self.original) | (norms(self.unfolded) if self.unfolded else {})
        self._inputs = {} if self.guessed else self._of_inputs()

    def lacking(self) -> str:
        """A tensor whose range nothing but images could tell; empty if there is none."""
        selection = select(self.judged, self.settings.exclude)
        known = self._ranges(self.judged, selection, self._norms)
        return next((root for root in selection.roots if root not in known), "")

    def _repaired(self, selection: Selection) -> QuantizationPlan:
        """Equalised, with ranges and biases from the norms."""
        self._equalise(selection)
        moments = spread(self.judged, self._norms, self._inputs)
        known = data_free.ranges(self.judged, selection, moments)
        extents, layers = dict(known), layers_of(self.judged)
        self._make_up(selection, extents)
        calibrate.shared(self.judged, selection, extents, self.settings.scheme)
        used = calibrate.Ranges(extents, "batch norms")
        plan, error = self._rounded(selection, used, layers)
        plan, count = data_free.corrected(plan, layers, moments)
        after = self.evaluator.error(written(self.judged, plan))
        told = sum(root in known for root in selection.roots)
        counts = {"told": told, "ranges": len(selection.roots), "biases": count}
        self.report.note(Note.of("int8.from_norms", before=error, after=after, **counts))
        return plan

    def _make_up(self, selection: Selection, extents: dict[str, data_free.Range]) -> None:
        """Take the ranges that nothing tells from made-up images, with room for real ones."""
        unknown = [root for root in selection.roots if root not in extents]
        if not unknown:
            return
        seen = calibrate.seen(self.judged, selection, self.images)
        for root in unknown:
            low, high = seen[root].extent
            extents[root] = low * MARGIN, high * MARGIN
        told = {"tensor": unknown[0], "tensors": len(unknown), "margin": MARGIN}
        self.report.note(Note.of("int8.made_up", **told))

    def _equalise(self, selection: Selection) -> None:
        """Equalise and absorb; keep it if the made-up images say that it helps."""
        if len(self._ranges(self.judged, selection, self._norms)) < len(selection.roots):
            return
        trial, twin = self.judged.clone(), self.source.clone()
        after = data_free.equalised(trial, self._norms, self._inputs)
        errors = []
        for graph, known in ((self.judged, self._norms), (trial, after)):
            moments = spread(graph, known, self._inputs)
            extents = data_free.ranges(graph, selection, moments)
            if len(extents) < len(selection.roots):
                return
            layers = layers_of(graph)
            plan, _ = self._rounded(selection, calibrate.Ranges(extents, ""), layers, graph)
            plan, _ = data_free.corrected(plan, layers, moments)
            errors.append(self.evaluator.error(written(graph, plan)))
        kept = errors[1] < errors[0]
        self.report.note(
            Note.of("int8.absorbed", before=errors[0], after=errors[1], kept=bool(kept))
        )
        if kept:
            data_free.equalised(twin, self._norms, self._inputs)
            self.judged, self.source, self._norms = trial, twin, after

    def _rounded(
        self,
        selection: Selection,
        used: calibrate.Ranges,
        layers: dict[str, Layer],
        graph: Graph | None = None,
    ) -> tuple[QuantizationPlan, float]:
        """The plan with weights to nearest, and its error."""
        scheme = self.settings.scheme
        grids = calibrate.grids(used, scheme)
        plan = QuantizationPlan(
            selection, grids, calibrate.weights(layers, selection, grids, scheme)
        )
        return plan, self.evaluator.error(written(graph or self.judged, plan))

    def _ranges(
        self, graph: Graph, selection: Selection, known: Mapping[str, ChannelMoments]
    ) -> dict[str, data_free.Range]:
        return data_free.ranges(graph, selection, spread(graph, known, self._inputs))

    def _of_inputs(self) -> dict[str, ChannelMoments]:
        """The inputs' exact reach: made-up images hold black and white."""
        names = [value.name or "" for value in self.judged.graph.inputs]
        seen = observe(self.images.values(self.judged, names, MADE_UP), names)
        found = {}
        for name, observer in seen.items():
            low, high = observer.channel_low, observer.channel_high
            if low is not None and high is not None:
                found[name] = ChannelMoments((low + high) / 2, ((high - low) / 4) ** 2, low, high)
        return found
