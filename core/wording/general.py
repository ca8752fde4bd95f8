"""Sentences that several passes say."""

from __future__ import annotations

from collections.abc import Mapping

from core.records.notes import TEXT
from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    TEXT: f"{{{TEXT}}}",
    "as_asked": "left alone as asked",
    "no_such_layer": "there is no layer of this name",
    "nothing_to_quantize": "No layer is left to quantize.",
}
