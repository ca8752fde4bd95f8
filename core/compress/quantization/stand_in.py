"""Stand-in for a quantized graph: as fast, written before anything is known of ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx_ir as ir

from core.compress.quantization import activation_16bit, calibrate
from core.compress.quantization.calibrate import layers_of
from core.compress.quantization.partition import Selection
from core.compress.quantization.qdq_writer import QuantizationPlan
from core.compress.quantization.qparams import Grid, Weight
from core.compress.quantization.target_scheme import Scheme

STAND_IN = Grid(0.02, 0)


def stand_in(
    source: ir.Model,
    selection: Selection,
    scheme: Scheme,
    names: Iterable[str] = (),
    known: Mapping[str, Weight] | None = None,
) -> QuantizationPlan:
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
    return activation_16bit.widened(
        QuantizationPlan(selection, grids, weights),
        activation_16bit.roots(selection, layers, names),
        {},
    )
