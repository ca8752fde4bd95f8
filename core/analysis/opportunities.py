"""What the passes could do to each layer, in a few words per layer."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from core.analysis.advice import folding, separable
from core.analysis.channels import Group, channel_map
from core.analysis.shapes import facts
from core.records import LayerCost


def opportunities(graph: ir.Model) -> Mapping[str, tuple[str, ...]]:
    """Layer name -> what is possible there, or why it is not; layers with nothing are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for norm, host in folding(graph).items():
        found[norm].append(
            f"folds into {host}" if host else "no layer right before it to fold into"
        )
        if host:
            found[host].append("batch norm folds in")
    for group in channel_map(graph).groups:
        for layer in group.layers:
            found[layer].append(_pruning(group, layer))
    for name, change in separable(graph, facts(graph, batch=1)).items():
        share = 100 * change.parameters_after / change.parameters
        found[name].append(f"depthwise + pointwise would need {share:.0f} % of its weights")
    return {name: tuple(dict.fromkeys(lines)) for name, lines in found.items()}


def annotate(graph: ir.Model, layers: Sequence[LayerCost]) -> tuple[LayerCost, ...]:
    """The layers with what is possible at each."""
    possible = opportunities(graph)
    return tuple(dataclasses.replace(c, possible=possible.get(c.name, ())) for c in layers)


def _pruning(group: Group, layer: str) -> str:
    channels = f"{len(group.atoms) * group.width} channels"
    if group.frozen:
        return f"{channels} cannot be pruned: {group.frozen}"
    others = len(group.layers) - 1
    shared = f", together with {others} other layer{'s' * (others > 1)}" if others else ""
    stream = " (residual stream)" if group.stream else ""
    return f"{channels} can be pruned{shared}{stream}"
