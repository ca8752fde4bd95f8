"""One colour per backend in every chart, told apart by most eyes and visible on light and dark.

The hues follow Okabe and Ito's colour-blind-safe set, moved to a lightness that keeps at least 3:1
against both a white and a nearly black page. Colour is never the only sign: every bar has its
label, every precision its own marker.
"""

from __future__ import annotations

import zlib

from core.backends.base import catalogue, label
from core.records import backend_of

__all__ = ["color", "faint", "label", "marker"]

BASELINE = "#8791a5"
CANDIDATE = "#3f7fe8"
FAILED = "#e0483e"
GRID = "rgba(128, 138, 158, 0.28)"
NOTHING = "rgba(0, 0, 0, 0)"
INK = "#d6336c"  # marks what is selected: no backend has it

# For backends of old runs that are gone.
_OTHERS = ("#c04f86", "#1a93ad", "#8b7a1c", "#7a6ae0", "#a8613a")
_MARKERS = {"": "circle", "f32": "circle", "bf16": "square", "f16": "diamond", "int8": "pentagon"}


def color(backend: str) -> str:
    """The colour of `name` or `name:precision`; the same in every chart and every run."""
    name = backend_of(backend)
    known = catalogue().get(name)
    return known.facts.color if known else _OTHERS[zlib.crc32(name.encode()) % len(_OTHERS)]


def marker(backend: str) -> str:
    """The marker that tells precisions of one backend apart."""
    return _MARKERS.get(backend.partition("@")[0].partition(":")[2], "hexagon")


def faint(hex_color: str, alpha: float) -> str:
    """A colour made transparent."""
    red, green, blue = (int(hex_color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"
