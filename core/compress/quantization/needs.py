"""What quantizing holds in memory, stated from the graph before it starts."""

from __future__ import annotations

from core.analysis import memory
from core.compress.quantization import calibrate
from core.compress.quantization.image_budget import LARGEST_BYTES as KEPT_BYTES
from core.compress.quantization.input_covariance import LARGEST_BYTES as SUMS_BYTES
from core.compress.refit.needs import Needs, Workload, of_streams, sums
from core.graph import Graph

SUMS_OF_ONE = calibrate.WORKING_COPIES + 1  # its sums, and what the rounding makes of them
NETS = 2  # the float one and the quantized one, run beside each other
MADE_UP = 48  # images, where there are none


def of_a_repair(graph: Graph, work: Workload) -> Needs:
    """The widest layer's sums, and what is compared between the two nets."""
    each = sums(graph)
    widest = SUMS_OF_ONE * max(each, default=0)
    work = Workload(work.images or MADE_UP, work.batch, work.workers)
    nets = (NETS - 1) * memory.measure(graph, work.batch).live
    least = widest + nets
    wish = widest + nets + min(SUMS_BYTES, sum(each)) + KEPT_BYTES
    return of_streams(graph, work, least, wish, "the sums over the inputs of its widest layer")
