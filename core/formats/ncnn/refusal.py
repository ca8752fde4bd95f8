"""Refusals: what ncnn has no layer for, gathered over a whole graph before anything is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from core.errors import ConversionFailed

MOST = 6  # nodes of one kind and reason that a message names
LONGEST = 60  # characters of a name


class Refused(Exception):
    """A node cannot be written as it stands, and why; the sentence goes on behind its name."""


class Unknown(Refused):
    """The size of a tensor is found out only when the model runs."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One node in the way, and why."""

    node: ir.Node
    reason: str
    follows: bool = False  # whether it may be in the way only because of one before it

    @property
    def operator(self) -> str:
        """Its type, with the domain of one that is not ONNX's own."""
        return f"{self.node.domain}.{self.node.op_type}" if self.node.domain else self.node.op_type


def failure(obstacles: Sequence[Obstacle]) -> ConversionFailed:
    """What to say of all of them, by operator and reason; of what follows from others nothing."""
    told = [one for one in obstacles if not one.follows] or list(obstacles)
    count = "1 operator cannot" if len(told) == 1 else f"{len(told)} operators cannot"
    named: dict[tuple[str, str], list[str]] = {}
    for one in told:
        named.setdefault((one.operator, one.reason), []).append(one.node.name or "")
    parts = [f"{kind} {_listed(names)}: {reason}" for (kind, reason), names in named.items()]
    return ConversionFailed(f"{count} be written for ncnn: {'; '.join(parts)}.")


def _listed(names: Sequence[str]) -> str:
    """The first names, the ends of long ones, and how many are left."""
    short = [name if len(name) <= LONGEST else f"…{name[-LONGEST:]}" for name in names[:MOST]]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(map(repr, short)) + more
