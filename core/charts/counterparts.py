"""Which node of one graph stands for which node of the other, by the names that passes keep.

A node that passes rewrote keeps its name, or what stands for it makes its value. One that is new is
named after the node or the value that it came from ("conv_1", "conv_output_q"). What is gone
without a trace, as a batch norm that was folded, is told by its layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.records import GraphNode, Topology

MOST_PARTS = 4  # that a pass adds to a name: "conv_output_quantized_dq"
Places = tuple[int | None, ...]


def counterparts(before: Topology, after: Topology) -> tuple[Places, Places]:
    """Of each node of both the position of its counterpart; None where there is none."""
    first, second = _index(before), _index(after)
    forth = [_same(node, second) for node in before.nodes]
    back = [_same(node, first, shortened=True) for node in after.nodes]
    return _by_layer(before, forth), _by_layer(after, back)


def _index(graph: Topology) -> dict[tuple[bool, str], int]:
    """Positions by (whether it is the name of a value, name); the first of equal ones."""
    found: dict[tuple[bool, str], int] = {}
    for place, node in enumerate(graph.nodes):
        found.setdefault((False, node.name), place)
        for value in node.makes:
            found.setdefault((True, value), place)
    return found


def _same(
    node: GraphNode, places: dict[tuple[bool, str], int], shortened: bool = False
) -> int | None:
    names = [(False, node.name), *((True, value) for value in node.makes)]
    if shortened:
        parts = node.name.rsplit("_", MOST_PARTS)
        stems = ["_".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
        names += [(is_value, stem) for stem in stems for is_value in (False, True)]
    return next((places[name] for name in names if name[1] and name in places), None)


def _by_layer(graph: Topology, found: Sequence[int | None]) -> Places:
    return tuple(
        found[node.layer] if place is None else place
        for node, place in zip(graph.nodes, found, strict=True)
    )
