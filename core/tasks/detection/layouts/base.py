"""A layout: how the outputs of a family of detectors hold boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from core.metrics.base.boxes import Detections
from core.tasks.base import Signature


@runtime_checkable
class Layout(Protocol):
    """One file of this package, which ends in an object `LAYOUT` of this form.

    Attributes:
        by_identifier: whether its classes are the category identifiers of the annotations, rather
            than their places in rising order.
    """

    by_identifier: bool

    def matches(self, signature: Signature) -> bool:
        """Whether outputs of this form are of this layout."""
        ...

    def classes(self, signature: Signature) -> int:
        """How many classes the model tells apart; 0 where the outputs do not say."""
        ...

    def decode(self, outputs: Sequence[np.ndarray[Any, Any]], signature: Signature) -> Detections:
        """Boxes of one image, in pixels of the input.

        Args:
            outputs: of one image each, without the axis of the images.
            signature: of the model.
        """
        ...
