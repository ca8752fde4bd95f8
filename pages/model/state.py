"""Session state of Model."""

from __future__ import annotations

from dataclasses import dataclass

from core.charts.layers import Share
from pages.shared.field import Field


@dataclass(frozen=True, slots=True)
class ModelState:
    """How the layers are drawn.

    Attributes:
        share: of what each layer's part is drawn.
    """

    share: Field[Share] = Field("model.share", "macs")


state = ModelState()
