"""Graphs that are as fast as quantized ones, before anything is known of ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.passes.base import Graph
from core.quantization import calibrate, wide
from core.quantization.calibrate import layers_of
from core.quantization.grids import Grid, Weight
from core.quantization.regions import Selection
from core.quantization.scheme import Scheme
from core.quantization.writer import Plan

STAND_IN = Grid(0.02, 0)


def stand_in(
    source: Graph,
    selection: Selection,
    scheme: Scheme,
    names: Iterable[str] = (),
    known: Mapping[str, Weight] | None = None,
) -> Plan:
    """This selection by made-up ranges.

    Args:
        source: the prepared float graph.
        selection: what computes in integers.
        scheme: by which.
        names: layers that read 16 bits.
        known: weights of earlier ones; their values do not matter to the time.
    """
    zero = 0 if not scheme.signed else -128
    # Each tensor its own scale: runtimes take conversions between equal ones out.
    grids = {
        root: replace(
            STAND_IN, scale=STAND_IN.scale * (1 + i / 512), zero=zero, signed=scheme.signed
        )
        for i, root in enumerate(selection.roots)
    }
    layers, known = layers_of(source), known or {}
    fresh = replace(selection, weighted=tuple(n for n in selection.weighted if n not in known))
    weights = calibrate.weights(layers, fresh, grids, scheme)
    weights |= {name: known[name] for name in selection.weighted if name in known}
    return wide.widened(Plan(selection, grids, weights), wide.roots(selection, layers, names), {})
