"""Why is the candidate as fast as it is? Rules over two profiles, each with its numbers.

A rule looks at one thing and answers with the seconds that it stands for, so that the largest cause
is told first. Nothing is estimated from MACs: what a rule says was measured layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.measure.explain import gains, integer, structure
from core.measure.explain.view import Found, View, ms
from core.measure.profile import pairs
from core.records import Cause, Explanation, Host, Profile

Rule = Callable[[View], Iterator[Found]]
GAINS: tuple[Rule, ...] = (gains.arithmetic, gains.smaller_layers, gains.gone, gains.calls)
HINDRANCES: tuple[Rule, ...] = (
    integer.quantizing,
    integer.islands,
    integer.stayed_float,
    integer.slower_in_integers,
    integer.no_instruction,
    integer.half_precision,
    structure.reorders,
    structure.odd_channels,
    structure.overhead,
    structure.memory_bound,
    structure.already_fused,
    structure.zeros,
)


def explain(before: Profile, after: Profile, host: Host) -> tuple[Cause, ...]:
    """The causes, the largest first; what gave a gain stands before what held it back."""
    view = View(before, after, host)
    if before.candidate == after.candidate:
        return ()
    helped, held_back = (
        sorted((f for rule in rules for f in rule(view)), key=lambda f: -f.seconds)
        for rules in (GAINS, HINDRANCES)
    )
    causes = tuple(found.cause for found in (*helped, *held_back))
    return causes or (_nothing(view),)


def explained(before: Profile, after: Profile, host: Host) -> Explanation:
    """Both profiles with their layers matched and the causes."""
    return Explanation(before, after, pairs(before, after), explain(before, after, host))


def _nothing(view: View) -> Cause:
    return Cause(
        "No single cause",
        f"A call takes {ms(view.before.total_s)} before and {ms(view.after.total_s)} after, and no "
        "layer, conversion or layout change stands out.",
    )
