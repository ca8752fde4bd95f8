"""QR code of a link, as dark and light modules."""

from __future__ import annotations

import functools

from core.charts.drawing import Box, Shape

QUIET = 4  # modules that stay light around it, as ISO/IEC 18004 asks


@functools.lru_cache(maxsize=64)
def modules(link: str) -> tuple[tuple[bool, ...], ...]:
    """The rows of the code of a link, true where a module is dark."""
    import cv2

    drawn = cv2.QRCodeEncoder.create().encode(link) == 0
    rows, columns = drawn.any(axis=1).nonzero()[0], drawn.any(axis=0).nonzero()[0]
    code = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return tuple(tuple(map(bool, row)) for row in code)


def side_of(link: str, most: float) -> tuple[float, float]:
    """The side of its picture, and that of one module: whole halves of a pixel, two at least.

    Args:
        link: what it says.
        most: pixels for the side, unless modules would be too small to be read.
    """
    count = len(modules(link)) + 2 * QUIET
    module = max(2.0, 2 * most // count / 2)
    return module * count, module


def draw(link: str, x: float, y: float, module: float) -> list[Shape]:
    """The code on white, dark on light in every look: that is what cameras read best."""
    code = modules(link)
    side = module * (len(code) + 2 * QUIET)
    made: list[Shape] = [Box(x, y, side, side, "#ffffff", radius=6)]
    for row, line in enumerate(code):
        top = y + (row + QUIET) * module
        for begin, end in _runs(line):
            left = x + (begin + QUIET) * module
            made.append(Box(left, top, (end - begin) * module, module, "#000000"))
    return made


def _runs(line: tuple[bool, ...]) -> list[tuple[int, int]]:
    """Where dark modules of a row stand side by side."""
    found, begin = [], None
    for at, dark in enumerate((*line, False)):
        if dark and begin is None:
            begin = at
        elif not dark and begin is not None:
            found.append((begin, at))
            begin = None
    return found
