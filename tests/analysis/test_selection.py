"""Selection of channels: multiples that are kept, and a ratio that is met on the whole."""

from __future__ import annotations

import pytest

from core.analysis import selection
from core.analysis.channels import channel_map
from tests.analysis.nets import head, image

WIDTHS = (24, 48, 96)


@pytest.mark.parametrize("multiple", [8, 16])
@pytest.mark.parametrize("ratio", [0.3, 0.4, 0.5])
def test_a_multiple_is_kept_and_the_whole_meets_the_ratio(ratio: float, multiple: int):
    net = image()
    x = "x"
    for number, (before, width) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False)):
        x = net.add("Relu", net.conv(x, before, width, name=f"c{number}"))
    groups = [g for g in channel_map(head(net, x, WIDTHS[-1])).groups if not g.frozen]
    kept = selection.kept_counts(groups, ratio, multiple, whole=True)
    assert sorted(len(group.atoms) for group in groups) == list(WIDTHS)
    assert all(count % multiple == 0 or count == len(g.atoms) for g, count in kept.items())
    assert sum(kept.values()) == pytest.approx((1 - ratio) * sum(WIDTHS), abs=multiple / 2)
