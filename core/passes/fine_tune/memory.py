"""What training holds in memory, stated from the graph before it starts."""

from __future__ import annotations

from core.analysis import memory
from core.compress.refit.needs import Needs, Workload, of_streams
from core.graph import Graph

TORCH_BYTES = 640 << 20  # the library itself
IMAGES_BYTES = 384 << 20  # of the images that are kept, at most
STATES = 4  # of the weights: gradients, two moments of Adam, the best state
GRADIENTS = 2  # of the activations of a step: they, and what is passed back


def needs(graph: Graph, work: Workload) -> Needs:
    """One image at a time at least."""
    one, full = memory.measure(graph, 1), memory.measure(graph, work.batch)
    base = TORCH_BYTES + 2 * IMAGES_BYTES + STATES * one.weights
    least, wish = base + GRADIENTS * one.all, base + GRADIENTS * full.all
    return of_streams(graph, work, least, wish, "PyTorch and the activations of one step")
