"""What to do where a cut costs too much: other ways to a faster network, as far as they are known.

A smaller cut has a forecast of its own, by the same arithmetic (`forecast`), and is offered with
it. Of int8, more images and fine-tuning there is none before they were tried: they are offered in
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.records import AccuracyForecast, Cut, Sensitivity
from core.runs.forecast import forecast

BEARABLE = 3.0  # points of accuracy, or percent of answers
SHARES = tuple(share / 20 for share in range(19, 0, -1))  # of the cut, the largest first
OTHERS = (
    "int8, which removes no channel",
    "a budget of MACs, which cuts each group as far as it bears",
    "more calibration images, which need no labels",
    "fine-tuning behind the cut",
)


def before(expected: AccuracyForecast, cuts: Sequence[Cut], known: Sensitivity) -> str:
    """Of a cut that was not made: that it costs too much, and what may cost less; or nothing."""
    if expected.agreement >= 100 - BEARABLE:
        return ""
    found = smaller(cuts, known)
    words = [] if found is None else [_smaller_words(*found, cuts)]
    return (
        f"This cut is expected to change about {100 - expected.agreement:.0f} % of the answers "
        f"({100 - expected.high:.0f} … {100 - expected.low:.0f} %), an estimate. "
        f"What may cost less: {'; '.join([*words, *OTHERS])}."
    )


def smaller(
    cuts: Sequence[Cut], known: Sensitivity
) -> tuple[tuple[Cut, ...], AccuracyForecast] | None:
    """The largest part of a cut, alike in every group, that is expected to be bearable."""
    for share in SHARES:
        part = part_of(cuts, share)
        if not any(cut.removed for cut in part):
            return None
        expected = forecast(part, known)
        if expected is not None and expected.agreement >= 100 - BEARABLE:
            return part, expected
    return None


def part_of(cuts: Sequence[Cut], share: float) -> tuple[Cut, ...]:
    """A part of a cut, alike in every group."""
    return tuple(replace(cut, removed=round(cut.removed * share)) for cut in cuts)


def _smaller_words(part: Sequence[Cut], expected: AccuracyForecast, cuts: Sequence[Cut]) -> str:
    channels = sum(cut.channels for cut in cuts)
    now, then = (100 * sum(cut.removed for cut in some) / channels for some in (cuts, part))
    return (
        f"{then:.0f} % of the channels instead of {now:.0f} %, for which "
        f"{expected.agreement:.0f} % ({expected.low:.0f} … {expected.high:.0f} %) of the answers "
        "are expected to stay"
    )
