"""Memory needs of a pass, stated before any work starts.

`least_bytes` is the peak of the child with the work cut into its smallest pieces: with less the
step fails, so it is refused beforehand. `wish_bytes` is the peak when nothing has to be cut,
spilled or computed twice. Both count from what the child holds before the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from core.analysis import memory
from core.analysis.memory import GraphMemory
from core.compress.refit import linear_layers
from core.graph import Graph

MIB = 1 << 20
COPIES = 5  # of the weights: the graph, its file, the runtime's own and packed ones, the result
RUN_SLACK = 1.5  # a convolution's buffers beside its input and output
BASE_BYTES = 64 * MIB  # a session, allocators, what is rounded up
WORKER_BYTES = 48 * MIB  # of each core: what the products of matrices are packed into
HELPS = 0.8  # a remedy that leaves more of the need than this is none
SUMS_OF_ONE = 6  # the sums of one layer, its moments, their inverse and what eliminates in it
CHUNK_BYTES = 512 * MIB  # activations of the original and the changed net, kept to be refitted
MARGIN = 1.25  # on what is stated, and for what the process holds before the step


@dataclass(frozen=True, slots=True)
class Workload:
    """What a step is given to work on.

    Attributes:
        images: calibration images; 0 for none.
        batch: images in one run of the model.
        workers: threads that work at the same time.
    """

    images: int = 0
    batch: int = 1
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Needs:
    """Memory that a step takes on top of what its process holds already.

    Attributes:
        least_bytes: it cannot work with less.
        wish_bytes: more would not make it faster.
        why: what takes most of the least: "the sums over the inputs of 53 layers".
    """

    least_bytes: int
    wish_bytes: int
    why: str

    def __or__(self, other: Needs) -> Needs:
        """Both, one after the other: the larger of each."""
        first = self if self.least_bytes >= other.least_bytes else other
        return Needs(first.least_bytes, max(self.wish_bytes, other.wish_bytes), first.why)


class Stating(Protocol):
    """What can say what it needs; every pass can."""

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """Memory for this graph and these images."""
        ...


def of_a_run(graph: Graph, work: Workload) -> Needs:
    """What any step takes: copies of the weights, and one run of the model to verify it."""
    size = memory.measure(graph, work.batch if work.images else 1)
    least = _with_run(size, 0)
    return Needs(least, least, f"{COPIES} copies of the weights and one run")


def of_streams(graph: Graph, work: Workload, kept_bytes: int, wish_bytes: int, why: str) -> Needs:
    """What a step takes that runs the model over the images.

    Args:
        graph: the model.
        work: images, batch, workers.
        kept_bytes: what it must hold at once beside one run.
        wish_bytes: what it would hold if there were room.
        why: what is held.
    """
    size = memory.measure(graph, work.batch)
    base = _with_run(size, 0) + WORKER_BYTES * work.workers
    return Needs(base + kept_bytes, base + max(kept_bytes, wish_bytes), why)


def of_a_refit(graph: Graph, work: Workload) -> Needs:
    """Of layers refitted to images: the sums of the widest at least; of all at once if they fit."""
    if not work.images:
        return of_a_run(graph, work)
    each = sums(graph)
    chunk = min(CHUNK_BYTES, work.images * memory.measure(graph, 1).all)
    least = SUMS_OF_ONE * max(each, default=0) + chunk
    why = f"the sums over the inputs of its widest layer and images for {len(each)} layers"
    return of_streams(graph, work, least, least + 2 * sum(each), why)


def _with_run(size: GraphMemory, kept_bytes: int) -> int:
    return BASE_BYTES + COPIES * size.weights + round(RUN_SLACK * size.live) + kept_bytes


def refusal(pass_: Stating, graph: Graph, work: Workload, there_bytes: int) -> str:
    """What a step needs and what is there, where it cannot even start; empty where it can."""
    needs = pass_.needs(graph, work)
    if needs.least_bytes <= there_bytes:
        return ""
    asked, there = gigabytes(needs.least_bytes), gigabytes(there_bytes)
    return f"needs {asked} of memory, {there} are free ({needs.why})."


def remedy(pass_: Stating, graph: Graph, work: Workload) -> str:
    """What makes a step need less, as far as it does, and how to give it more."""
    least = pass_.needs(graph, work).least_bytes
    fewer = pass_.needs(graph, replace(work, images=work.images // 4)) if work.images else None
    ways = []
    if fewer is not None and fewer.least_bytes < HELPS * least:
        ways.append("fewer calibration images")
    if memory.measure(graph, work.batch).live * RUN_SLACK > (1 - HELPS) * least:
        ways.append("a smaller input")
    use = f"Use {' or '.join(ways)}, or give" if ways else "Give"
    wanted = least * MARGIN
    unit, letter = (1 << 30, "G") if wanted > 1 << 30 else (100 << 20, "00M")
    size = f"{-(-round(wanted) // unit)}{letter}"
    return f"{use} it more, where the machine has it: LATHE_MEMORY={size}."


def gigabytes(size: int) -> str:
    """A size as a person reads it: "5.1 GB", below one "340 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def sums(graph: Graph) -> list[int]:
    """Bytes of the sums of products that a least-squares fit of each linear layer holds.

    (groups, d + 1 + o, d + 1 + o) doubles, d inputs and o outputs of a group: see
    `core.compress.refit.normal_equations`.
    """
    found = []
    for layer in linear_layers.find(graph):
        shape, groups = layer.weight.shape, layer.groups
        inputs, outputs = _sides(shape, groups, layer.node.op_type == "Conv")
        found.append(8 * groups * (inputs + 1 + outputs) ** 2)
    return found


def _sides(shape: tuple[int, ...], groups: int, conv: bool) -> tuple[int, int]:
    if conv:
        return math.prod(shape[1:]), shape[0] // groups
    return shape[0], shape[-1]
