"""Limits: what is known to be within them is borne, and nothing else."""

from __future__ import annotations

import pytest

from core.search.constraints import Limits
from core.search.loss import Loss


@pytest.mark.parametrize(
    ("lost", "limits", "within"),
    [
        (None, Limits(), False),
        (None, Limits(99.0), False),
        (Loss(0.4, -0.1, 0.9, "top1_delta"), Limits(), True),
        (Loss(0.4, 0.1, 0.7, "top1_delta"), Limits(), False),
        (Loss(0.4, 0.1, 0.7, "top1_delta"), Limits(0.5), True),
        (Loss(0.6, -0.1, 1.3, "top1_delta"), Limits(0.5), False),
        (Loss(0.8, 0.5, 1.1, "agreement"), Limits(), True),
        (Loss(2.0, 1.5, 2.5, "agreement"), Limits(), False),
    ],
)
def test_limits_bear_what_is_known_to_be_within_them(lost, limits, within):
    assert limits.bear(lost) is within


def test_a_latency_that_is_not_known_is_within_no_limit():
    assert Limits().allow(None)
    assert not Limits(max_latency_ms=1.0).allow(None)
    assert Limits(max_latency_ms=1.0).allow(1.0)
    assert not Limits(max_latency_ms=1.0).allow(1.1)
