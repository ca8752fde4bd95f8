"""Sentences of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "fine_tune.distance": "Distance to the original on images held out: {before:.4f} -> "
    "{after:.4f}, after {steps} steps in {seconds:.0f} s on {images} images (rate {rate:g}).",
    "fine_tune.no_closer": "Training did not bring it closer; the state before it was kept.",
    "fine_tune.on_grid": "The weights lie on the grid of symmetric {weights} per output channel; "
    "quantize them so, and nothing more is rounded.",
    "fine_tune.shared_weight": "stays float: layers share its weight along other axes",
}
