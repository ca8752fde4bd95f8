"""What replacing convolutions holds in memory, stated from the graph before it starts."""

from __future__ import annotations

from core.analysis import memory
from core.graph import Graph
from core.reconstruction.needs import Needs, Workload, of_a_run, of_streams, sums

SUMS_OF_ONE = 6  # the sums of one layer, its moments, their inverse and what eliminates in it
CHUNK_BYTES = 512 << 20  # activations of the original and the pruned net, kept to be refitted


def needs(graph: Graph, work: Workload) -> Needs:
    """The sums of the widest layer at least; those of all layers at once if there is room."""
    if not work.images:
        return of_a_run(graph, work)
    each = sums(graph)
    chunk = min(CHUNK_BYTES, work.images * memory.measure(graph, 1).all)
    least = SUMS_OF_ONE * max(each, default=0) + chunk
    wish = least + 2 * sum(each)
    why = f"the sums over the inputs of its widest layer and images for {len(each)} layers"
    return of_streams(graph, work, least, wish, why)
