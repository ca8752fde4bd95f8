"""Diagnosis of a model: which targets run it as it is, which after exact rewrites, what blocks."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.records.models import TensorSpec


class Fate(enum.Enum):
    """What becomes of a model on a target."""

    RUNS = "runs"
    WRONG = "wrong"
    REFUSED = "refused"
    UNCHECKED = "unchecked"  # it runs, and there is nothing to compare its answers with
    ABSENT = "absent"  # the runtime is not here


@dataclass(frozen=True, slots=True)
class Deviation:
    """One output that is not what the reference gives.

    Attributes:
        output: its name.
        relative: root mean square of the difference over that of the reference; infinite where
            finiteness or the shape differs.
        largest: largest difference of an element.
        constant: whether it is the same for all inputs, while the reference's is not.
    """

    output: str
    relative: float
    largest: float
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A node that stands in the way of a target.

    Attributes:
        node: its name.
        operator: with the domain of one that is not ONNX's own.
        reason: in the target's words, or how far its answer is off.
        alone: whether it was found by trying the node by itself; else the target named it.
    """

    node: str
    operator: str
    reason: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One model on one target."""

    fate: Fate
    reason: str = ""
    deviations: tuple[Deviation, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the target can be used for this model."""
        return self.fate in (Fate.RUNS, Fate.UNCHECKED)


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of a model on one target.

    Attributes:
        target: backend as it is asked for, with `@format` where that is not its first.
        as_it_is: the file that was uploaded.
        obstacles: that stand in its way.
        rewrites: the fewest that make it run; empty where it does anyway, or none helps.
        rewritten: the model with these rewrites, or with all where none helps; None if none
            changes anything, or it runs as it is.
        remaining: obstacles that stand in the way of the rewritten one.
        together: the model with the rewrites for all targets; None where there are none.
    """

    target: str
    as_it_is: Attempt
    obstacles: tuple[Obstacle, ...] = ()
    rewrites: tuple[str, ...] = ()
    rewritten: Attempt | None = None
    remaining: tuple[Obstacle, ...] = ()
    together: Attempt | None = None

    @property
    def unlocked(self) -> bool:
        """Whether rewrites made it run."""
        return not self.as_it_is.runs and self.rewritten is not None and self.rewritten.runs


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A model on every target.

    Attributes:
        model: digest.
        dims: sizes of its open dimensions that it was tried, or frozen, at.
        images: digest of the image set whose first images were fed; empty for made-up inputs.
        findings: one for each target.
        rewrites: that change anything in this model.
        failed: rewrite -> why it could not be done.
        constant: outputs that the reference gives the same for every input.
    """

    model: str
    findings: tuple[Finding, ...]
    dims: Mapping[str, int] = field(default_factory=dict)
    images: str = ""
    rewrites: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    constant: tuple[str, ...] = ()

    @property
    def for_all(self) -> tuple[str, ...]:
        """The rewrites that unlock a target, for all of them together, in order."""
        wanted = {name for finding in self.findings for name in finding.rewrites}
        return tuple(name for name in self.rewrites if name in wanted)


@dataclass(frozen=True, slots=True)
class SingleNode:
    """A model of one node, with what went into it and came out of it in the whole model.

    Attributes:
        nodes: names of all nodes that are the same but for weights.
        operator: with the domain of one that is not ONNX's own.
        model: an ONNX file.
        feeds: an .npz of its inputs, `0_INPUT`.
        inputs: their names.
        outputs: its signature.
        answers: an .npz of its outputs, `0_OUTPUT`.
    """

    nodes: tuple[str, ...]
    operator: str
    model: Path
    feeds: Path
    inputs: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    answers: Path


@dataclass(frozen=True, slots=True)
class Singles:
    """The nodes of a model, and models of one node each.

    Attributes:
        nodes: name and operator of every one.
        apart: those that can stand alone, one for all that are alike.
    """

    nodes: tuple[tuple[str, str], ...]
    apart: tuple[SingleNode, ...] = ()
