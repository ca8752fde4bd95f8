"""What pruning would cost: how much error the answers of a network bear."""

from __future__ import annotations

import numpy as np

from core.candidates.sensitivity import agreement


def test_answers_fall_with_the_error_of_the_outputs():
    outputs = np.random.default_rng(0).normal(size=(200, 10))
    assert agreement(outputs, 0.0) == 100
    assert agreement(outputs, 0.5) < agreement(outputs, 0.05) < 100
