"""Histograms of layers on demand: asked for by a page that does not wait, kept for all."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from core.devices.local import lock
from core.pipeline.client import Workshop
from core.records import Distributions
from core.runs.builds import code_digest
from core.runs.home import Home
from core.runs.images import ImageSource
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

IMAGES = 32
KEPT = 128
RETRY_S = 60.0  # after a child died of one


@dataclass(frozen=True, slots=True)
class LayerOf:
    """What histograms are asked of.

    Attributes:
        model: an admitted model or a candidate.
        layer: name of one of its layers.
        images: over which activations are taken; without any there are weights only.
    """

    model: Path
    layer: str
    images: ImageSource

    @property
    def key(self) -> str:
        """The same for the same answer."""
        return key_of(self.model.stem, self.layer, self.images.digest, IMAGES, code_digest())


class LayerDistributions:
    """Histograms in turns, each taken in a child of its own. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        shelf: Shelf[Distributions] = Shelf(Distributions, home.caches / "distributions", KEPT)
        self._taken = OnDemand(turns, shelf, child_died_s=RETRY_S)

    def get(self, question: LayerOf, visitor: str = "") -> Distributions | None:
        """What is known; None while it is being taken, which this call asks for.

        Raises:
            CoreError: it cannot be taken, or could not a moment ago.
        """
        return self._taken.ask(question.key, functools.partial(_take, question), visitor)


def _take(question: LayerOf, step: Step) -> Distributions:
    with lock.shared(step.check), Workshop() as workshop:
        return workshop.distributions(
            question.model, question.layer, question.images.path, IMAGES, step.check
        )
