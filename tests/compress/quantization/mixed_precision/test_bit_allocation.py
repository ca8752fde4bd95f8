"""Bits for each layer: the knapsack against all combinations; sensitivity means what it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from core.compress import knapsack
from core.compress.quantization import gptq
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import bit_allocation
from core.compress.quantization.packing import LIMITS, stored_bytes
from core.compress.quantization.prepare import prepared
from core.compress.refit.linear_layers import Layer
from tests.compress.quantization.nets import Random, residual

WIDTHS = (3, 4, 5, 6, 8)


def layers_and_sizes(seed, count=5):
    draw = np.random.default_rng(seed)
    errors = {f"l{i}": float(e) for i, e in enumerate(10.0 ** draw.uniform(-4, -1, count))}
    elements = dict(zip(errors, 120 * draw.integers(3, 800, count), strict=True))
    sizes = {n: {b: stored_bytes(int(s), b, "packed") for b in WIDTHS} for n, s in elements.items()}
    return errors, sizes


def lost(errors, bits):
    return sum(error * 0.25 ** (bits[name] - 3) for name, error in errors.items())


def spent(sizes, bits):
    return sum(sizes[name][bits[name]] - sizes[name][3] for name in sizes)


@pytest.mark.parametrize("seed", range(4))
def test_no_combination_that_fits_loses_less(seed):
    errors, sizes = layers_and_sizes(seed)
    room = int(0.3 * sum(size[8] for size in sizes.values()))
    chosen = bit_allocation.allocate(errors, sizes, room)
    assert spent(sizes, chosen) <= room
    rounded_up = room * (1 - len(errors) / knapsack.STEPS)
    best = min(
        lost(errors, bits)
        for combination in product(WIDTHS, repeat=len(errors))
        if spent(sizes, bits := dict(zip(errors, combination, strict=True))) <= rounded_up
    )
    assert lost(errors, chosen) <= best * (1 + 1e-9)


@pytest.mark.parametrize(("room", "bits"), [(-5, 3), (0, 3), (10**9, 8)])
def test_without_room_the_fewest_bits_with_plenty_the_most(room, bits):
    errors, sizes = layers_and_sizes(7)
    assert set(bit_allocation.allocate(errors, sizes, room).values()) == {bits}


def test_a_layer_that_the_outputs_depend_on_more_is_more_sensitive():
    model = headless(prepared(residual(), 18))
    gemm = next(node for node in model.graph if node.op_type == "Gemm")
    found = []
    for factor in (1.0, 1e-3):
        layers = {node.name: Layer(node, node.attributes.get_int("group", 1))
                  for node in model.graph if node.op_type in ("Conv", "Gemm")}  # fmt: skip
        branch = next(n for n in layers if layers[n].matrix().shape[1:] == (8, 8))
        layer = layers[branch]
        layer.write(layer.matrix() * factor, layer.bias())
        errors = bit_allocation.sensitivities(
            model, layers, CalibrationSplit(Random(count=64)),
            lambda _, la, second: replace(
                gptq.quantized(la, LIMITS[4], True, second, None, 4), packed=True
            ),
        )  # fmt: skip
        assert set(errors) == set(layers)
        assert errors[gemm.name] > 0
        found.append(errors[branch])
    assert found[1] < 1e-3 * found[0]


def test_few_images_from_all_over_the_set_judge_alike():
    model = headless(prepared(residual(), 18))
    whole = Evaluator(model, CalibrationSplit(Random(count=256)))
    few = whole.few(16)
    assert 8 <= few.images <= 32 < whole.images
    other = headless(prepared(residual(seed=9), 18))
    assert few.error(other) == pytest.approx(whole.error(other), rel=0.3)
    assert few.error(model) == 0.0
