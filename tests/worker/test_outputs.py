"""Outputs in the order of the signature; what is no array is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InferenceFailed
from core.records import TensorSpec
from core.worker.outputs import in_order

SPECS = (TensorSpec("a", "float32", (1, 2)), TensorSpec("b", "float32", (1, 3)))


def test_names_decide_then_shapes() -> None:
    a, b = np.zeros((1, 2)), np.ones((1, 3))
    assert [x.shape for x in in_order({"b": b, "a": a}, SPECS)] == [(1, 2), (1, 3)]
    assert [x.shape for x in in_order({"p": b, "q": a}, SPECS)] == [(1, 2), (1, 3)]


def test_a_sequence_is_refused_by_its_name() -> None:
    with pytest.raises(InferenceFailed, match="'s' is a sequence"):
        in_order({"s": [np.zeros(2), np.zeros(3)]}, SPECS[:1])
