"""Sentences of a simplified graph."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "simplify.folder_fails": "constants are folded up to here, where the folder fails",
    "simplify.folds_nothing": "{why}: no constant is folded",
    "simplify.old_opset": "{operator} of an opset before {first}",
    "simplify.removed": "{removed} of {nodes} nodes removed.",
    "simplify.unsaturated": "CastLike that does not saturate",
}
