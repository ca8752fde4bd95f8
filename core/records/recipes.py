"""What is done to a model, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.records.notes import Note


@dataclass(frozen=True, slots=True)
class Step:
    """One pass with its parameters."""

    pass_name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Passes in the order in which they run; no step at all is the baseline."""

    name: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """A node that a pass left alone, and why."""

    node: str
    reason: Note


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What changing one layer, or one group of layers, alone does to the model's outputs.

    Attributes:
        layers: the layers that are changed together.
        setting: what is done to them, as a person reads it ("25 %", "int8").
        error: of the outputs, squared, relative to their variance over the images.
        agreement: percent of the images with the original's answer; None if that is not known.
        share: of the layers' channels that were removed; 0 where none were.
        accuracy_lost: points of top-1 on these images; None if they have no labels.
    """

    layers: tuple[str, ...]
    setting: str
    error: float
    agreement: float | None = None
    share: float = 0.0
    accuracy_lost: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """How many channels a step removes from layers that share them."""

    layers: tuple[str, ...]
    removed: int
    channels: int


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step of a recipe did.

    Attributes:
        step: the step that ran.
        changed: how many nodes or tensors it rewrote; what is counted is said by `notes`.
        skipped: what it left alone, each with its reason.
        notes: what to tell the user; `core.wording` makes sentences of them.
        reverted: why the step was undone, and what mends it; empty if it stands.
        failure: the code of the error behind that, "NotEnoughMemory"; empty if it stands.
        seconds: wall time.
        effects: how sensitive the model is to the step, layer by layer, measured on calibration
            images.
        cuts: the channels that it removed.
        warnings: what to know before the model is used.
    """

    step: Step
    changed: int = 0
    skipped: tuple[Skip, ...] = ()
    notes: tuple[Note, ...] = ()
    reverted: str = ""
    seconds: float = 0.0
    effects: tuple[LayerEffect, ...] = ()
    cuts: tuple[Cut, ...] = ()
    failure: str = ""
    warnings: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file made by a recipe, named by the digest of its bytes."""

    digest: str
    path: Path
    recipe: Recipe
    report: tuple[StepReport, ...] = ()
