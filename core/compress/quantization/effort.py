"""How many images a question takes, and how many run at once: by what the net costs, not by time.

Time would make the result of a build depend on what else the machine does. An error of the logits
is a mean over images, whose own error falls with their root: what halves the images of a large net
makes it 1.4 times as uncertain, while two graphs are still compared on the same ones.
"""

from __future__ import annotations

import onnx_ir as ir

from core.analysis import cost
from core.devices.local import memory

LARGEST_MACS = 128 * 10**9  # multiply-accumulates of one question: about two seconds of two cores
COMPARED_MACS = 64 * 10**9  # of one of several ways that are compared
CALIBRATION_MACS = 128 * 10**9  # of a walk over calibration images, if those are not too few
LONGEST_MACS = 512 * 10**9  # of one in any case
LEAST_IMAGES, LEAST_CALIBRATION, FEWEST_CALIBRATION = 16, 64, 32
SMALLEST_BYTES, LARGEST_BYTES = 16 << 20, 128 << 20  # of what one run gives out
SHARE = 32  # of the memory that is free


def images(graph: ir.Model, most: int, macs: int = LARGEST_MACS, least: int = LEAST_IMAGES) -> int:
    """At most `most`, fewer for a net that takes more than `macs` for so many.

    Args:
        graph: the net; one whose cost is not known counts as small.
        most: of a small net.
        macs: multiply-accumulates of all images together.
        least: of any net.
    """
    each = cost.totals(graph)[1]
    return min(most, max(least, macs // each)) if each else most


def calibration(graph: ir.Model, most: int) -> int:
    """Images that ranges and sums are found on."""
    enough = images(graph, LEAST_CALIBRATION, LONGEST_MACS, FEWEST_CALIBRATION)
    return images(graph, most, CALIBRATION_MACS, enough)


def batch_bytes() -> int:
    """Bytes of tensors that one run may give out, by the memory that is free."""
    return min(max(memory.budget_bytes() // SHARE, SMALLEST_BYTES), LARGEST_BYTES)
