"""Targets of a recipe: backends, by what they state of themselves, and phones, which are not here.

Passes and their algorithms ask here; they keep no table of backends, and import none.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.backends.base import catalogue, label, offered, reference
from core.records import BackendInfo, Int8Facts

__all__ = [
    "PHONES",
    "elsewhere",
    "here",
    "int8",
    "label",
    "offered",
    "reference",
    "runs_in_process",
]

PHONES = "generic"
# What the accelerators of phones have in common.
ON_PHONES = Int8Facts(signed=True, share_concat=True, wide=True)


def int8() -> Mapping[str, Int8Facts]:
    """What int8 is offered for, and which integers each computes with."""
    known = {name: catalogue()[name].facts.int8 for name in offered()}
    return {name: facts for name, facts in known.items() if facts} | {PHONES: ON_PHONES}


def elsewhere() -> tuple[BackendInfo, ...]:
    """Targets that files are made for, and nothing here runs."""
    phones = BackendInfo(
        PHONES,
        "Accelerators of phones",
        "What they have in common: an int8 recipe can be written for them.",
        (),
        reason="No phone is connected.",
        accepts=(),
        int8_does="Written with signed activations, and one scale for all inputs of a Concat.",
    )
    return (phones,)


def here(target: str) -> bool:
    """Whether it is a backend, so that its clock and its outputs can be asked for."""
    return target in catalogue()


def runs_in_process(target: str) -> bool:
    """Whether the runtime in this process (`Services.runner`) is the very one."""
    return target == reference()
