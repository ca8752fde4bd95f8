"""Points of accuracy: what noise on the logits costs is foretold without labels."""

from __future__ import annotations

import numpy as np
import pytest

from core.quantization.images import Images
from core.quantization.judge import Judge
from tests.quantization.nets import Random, parsed

CLASSES = 10


def judge(scale: float) -> Judge:
    """Of a net whose logits are `scale` times its random inputs."""
    model = parsed(
        "g (float[N, 10] x) => (float[N, 10] y) { y = Mul(x, s) }",
        {"s": np.array(scale, np.float32)},
    )
    return Judge(model, Images(Random((CLASSES,), count=256)))


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("points", [1.0, 5.0])
def test_labels_drawn_by_the_nets_confidence_agree(scale: float, points: float):
    error = judge(scale).bearable(points)
    random = np.random.default_rng(3)
    y = scale * random.standard_normal((200_000, CLASSES))
    odds = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    labels = (odds.cumsum(1) > random.random((len(y), 1))).argmax(1)
    spoilt = y + np.sqrt(error * np.mean(y**2)) * random.standard_normal(y.shape)
    lost = 100 * (np.mean(y.argmax(1) == labels) - np.mean(spoilt.argmax(1) == labels))
    assert points / 3 < lost < points * 1.7


def test_more_points_bear_more():
    one = judge(2.0)
    assert 0 < one.bearable(0.5) < one.bearable(2.0) < one.bearable(8.0)
