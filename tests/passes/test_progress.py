"""Passes that refit say how far they are: shares rise to the end, whichever way they work."""

from __future__ import annotations

import itertools

import pytest

from core.passes.base import Pass, Report
from core.passes.prune_channels import PruneChannels
from core.passes.replace_convolutions import ReplaceConvolutions
from tests.analysis.nets import residual
from tests.compress.refit.images import Pictures


@pytest.mark.parametrize(
    "work",
    [
        PruneChannels(ratio=0.5, multiple=1),
        PruneChannels(budget="macs", target=0.7, multiple=1, scope="all"),
        ReplaceConvolutions(speedup=1.2, multiple=1, tolerance=1.0),
    ],
    ids=["uniform", "allocated", "replaced"],
)
def test_shares_rise_to_the_end(work: Pass):
    model, report = residual(), Report()
    heard: list[tuple[str, float]] = []
    report.progress = lambda sentence, share: heard.append((sentence, share))
    work.apply(model, report, Pictures(model, count=64))
    assert report.changed
    shares = [share for _, share in heard]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.3
    assert 0.6 < shares[-1] <= 1
    assert any(sentence.startswith("Refitting ") for sentence, _ in heard)
    assert max(b - a for a, b in itertools.pairwise(shares)) < 0.5
