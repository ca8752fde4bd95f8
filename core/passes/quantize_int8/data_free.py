"""A quantization without calibration images: ranges from batch norms, or from made-up images.

What judges a choice are made-up images here (smooth noise through the preprocessing). They tell how
much two graphs differ, not how often either is right; whatever rests on them says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from core.passes.base import Graph
from core.passes.quantize_int8.steps import Work, layers_of
from core.quantization import calibrate, data_free
from core.quantization.moments import Moments, norms, spread
from core.quantization.observers import observe
from core.quantization.regions import Selection
from core.quantization.writer import Plan, written
from core.reconstruction.layers import Layer

MADE_UP = 16  # images that the ranges are taken from where no batch norm tells them


@dataclass
class DataFree(Work):
    """As with images, but for what only images can tell.

    Attributes:
        unfolded: the model before its batch norms were folded, where there is one.
    """

    real: ClassVar[bool] = False
    unfolded: Graph | None = None
    _norms: Mapping[str, Moments] = field(init=False)
    _inputs: Mapping[str, Moments] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._norms = norms(self.original) | (norms(self.unfolded) if self.unfolded else {})
        self._inputs = self._of_inputs()

    def _repaired(self, selection: Selection) -> Plan:
        """Equalised, with ranges and biases from the norms."""
        self._equalise(selection)
        moments = spread(self.judged, self._norms, self._inputs)
        extents = data_free.ranges(selection, moments)
        layers = layers_of(self.judged)
        if extents is None:
            return self._by_made_up_images(selection, layers, moments)
        calibrate.shared(self.judged, selection, extents, self.settings.scheme)
        used = calibrate.Ranges(extents, "batch norms")
        plan, error = self._rounded(selection, used, layers)
        plan, count = data_free.corrected(plan, layers, moments)
        after = self.judge.error(written(self.judged, plan))
        self.report.note(
            "Data-free: ranges are six deviations of the batch norms to each side, and "
            f"{count} biases are corrected by the inputs that they let expect. Relative logit "
            f"error on made-up images {error:.2g} -> {after:.2g}."
        )
        return plan

    def _equalise(self, selection: Selection) -> None:
        """Equalise and absorb; keep it if the made-up images say that it helps."""
        if data_free.ranges(selection, spread(self.judged, self._norms, self._inputs)) is None:
            return
        trial, twin = self.judged.clone(), self.source.clone()
        after = data_free.equalised(trial, self._norms, self._inputs)
        errors = []
        for graph, known in ((self.judged, self._norms), (trial, after)):
            moments = spread(graph, known, self._inputs)
            extents = data_free.ranges(selection, moments)
            if extents is None:
                return
            layers = layers_of(graph)
            plan, _ = self._rounded(selection, calibrate.Ranges(extents, ""), layers, graph)
            plan, _ = data_free.corrected(plan, layers, moments)
            errors.append(self.judge.error(written(graph, plan)))
        kept = errors[1] < errors[0]
        self.report.note(
            "Data-free: cross-layer equalisation and bias absorption, relative logit error on "
            f"made-up images {errors[0]:.2g} -> {errors[1]:.2g}{'' if kept else ', not kept'}."
        )
        if kept:
            data_free.equalised(twin, self._norms, self._inputs)
            self.judged, self.source, self._norms = trial, twin, after

    def _by_made_up_images(
        self, selection: Selection, layers: dict[str, Layer], moments: Mapping[str, Moments]
    ) -> Plan:
        lacking = next(root for root in selection.roots if root not in moments)
        seen = calibrate.seen(self.judged, selection, self.images)
        used = calibrate.extents(
            self.judged, selection, seen, self.settings.scheme, "minmax", 100.0
        )
        plan, error = self._rounded(selection, used, layers)
        self.report.note(
            "Data-free: no batch norm tells the range of "
            f"{lacking!r} (folded, or there is none), so ranges are those of made-up images, which "
            f"may clip what real ones hold. Relative logit error on them {error:.2g}. Give the "
            "model before folding, or images, for better ones."
        )
        return plan

    def _rounded(
        self,
        selection: Selection,
        used: calibrate.Ranges,
        layers: dict[str, Layer],
        graph: Graph | None = None,
    ) -> tuple[Plan, float]:
        """The plan with weights to nearest, and its error."""
        scheme = self.settings.scheme
        grids = calibrate.grids(used, scheme)
        plan = Plan(selection, grids, calibrate.weights(layers, selection, grids, scheme))
        return plan, self.judge.error(written(graph or self.judged, plan))

    def _of_inputs(self) -> dict[str, Moments]:
        """The inputs' exact reach: made-up images hold black and white."""
        names = [value.name or "" for value in self.judged.graph.inputs]
        seen = observe(self.images.values(self.judged, names, MADE_UP), names)
        found = {}
        for name, observer in seen.items():
            low, high = observer.channel_low, observer.channel_high
            if low is not None and high is not None:
                found[name] = Moments((low + high) / 2, ((high - low) / 4) ** 2, low, high)
        return found
