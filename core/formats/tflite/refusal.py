"""Refusals: what TFLite has no words for, gathered over a whole graph before anything is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from core.errors import ConversionFailed

MOST = 40  # lines of one message


class Refused(Exception):
    """An operator cannot be written as it stands, and why; the sentence goes on behind its name."""


class Unknown(Refused):
    """The size of a tensor is found out only when the model runs."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One node in the way.

    Attributes:
        node: its name.
        operator: what it is.
        reason: why it cannot be written.
    """

    node: str
    operator: str
    reason: str

    @classmethod
    def of(cls, node: ir.Node, reason: str) -> Obstacle:
        """What stands in the way at a node."""
        domain = f"{node.domain}." if node.domain else ""
        return cls(node.name or "", f"{domain}{node.op_type}", reason)

    def __str__(self) -> str:
        """As a line of a message."""
        return f"{self.operator} {self.node!r}: {self.reason}"


def failure(obstacles: Sequence[Obstacle]) -> ConversionFailed:
    """What to say of all of them."""
    count = len(obstacles)
    head = "1 operator cannot" if count == 1 else f"{count} operators cannot"
    shown = [str(one) for one in obstacles[:MOST]]
    more = [f"and {count - MOST} more"] if count > MOST else []
    return ConversionFailed(f"{head} be written as TFLite: {'; '.join([*shown, *more])}.")
