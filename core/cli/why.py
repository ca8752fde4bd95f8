"""`measure --why`: layer times beside the baseline's, and the causes of each speed in words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from core.cli.result import table
from core.errors import CoreError
from core.records import Explanation, Json, LayerPair, LayerProfile, ModelSummary, to_json
from core.workspace import Workspace

SHOWN_LAYERS = 15


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one question; `reason` says why there is no answer."""

    model: str
    baseline: str
    backend: str
    threads: int
    answer: Explanation | None
    reason: str = ""


def ask(
    workspace: Workspace,
    models: Sequence[tuple[str, ModelSummary]],
    backends: Sequence[str],
    threads: Sequence[int],
    device: str,
) -> list[Told]:
    """Every model but the first, explained against the first on every backend."""
    (base, before), *others = models
    told = []
    for backend in backends:
        for count in threads:
            for name, after in others:
                print(f"lathe: layers of {name} on {backend}", file=sys.stderr, flush=True)
                try:
                    answer = workspace.insights.explain(before, after, backend, count, device)
                    told.append(Told(name, base, backend, count, answer))
                except CoreError as error:
                    told.append(Told(name, base, backend, count, None, error.reason))
    return told


def as_json(told: Told) -> Json:
    """One answer for scripts."""
    answer = told.answer
    return {
        "model": told.model,
        "baseline": told.baseline,
        "backend": told.backend,
        "threads": told.threads,
        "reason": told.reason,
        "call_before_ms": 1e3 * answer.before.total_s if answer else None,
        "call_after_ms": 1e3 * answer.after.total_s if answer else None,
        "causes": to_json(answer.causes) if answer else [],
        "layers": [_layer_json(pair) for pair in answer.pairs] if answer else [],
        "notes": list(answer.after.notes) if answer else [],
    }


def _layer_json(pair: LayerPair) -> Json:
    either = pair.after or pair.before
    row: Json = {"name": either.name, "kind": either.kind, "role": either.role} if either else {}
    for side, layer in (("before", pair.before), ("after", pair.after)):
        row[f"{side}_ms"] = 1e3 * layer.seconds if layer else None
        row[f"{side}_precision"] = layer.precision if layer else None
        row[f"{side}_kernel"] = layer.implementation if layer else None
    return row


def as_text(told: Told) -> str:
    """One answer for people: the causes, then the layers that take most."""
    head = f"{told.model} on {told.backend}, {told.threads or 'all'} thr"
    if told.answer is None:
        return f"{head}: {told.reason}"
    lines = [f"{head}; {'; '.join(told.answer.after.notes[:2])}"]
    for cause in told.answer.causes:
        lines.append(f"  {'+' if cause.gain else '-'} {cause.title}: {cause.text}")
        if cause.fix:
            lines.append(f"      fix: {cause.fix}")
    slowest = sorted(told.answer.pairs, key=_longest, reverse=True)[:SHOWN_LAYERS]
    rows = [
        (*_named(pair), _cell(pair.before), _cell(pair.after)) for pair in slowest
    ]  # fmt: skip
    return "\n".join([*lines, table(("layer", "kind", "before ms", "after ms"), rows)])


def _longest(pair: LayerPair) -> float:
    return max(layer.seconds for layer in (pair.before, pair.after) if layer)


def _named(pair: LayerPair) -> tuple[str, str]:
    either = pair.after or pair.before
    return (either.name, either.kind) if either else ("", "")


def _cell(layer: LayerProfile | None) -> str:
    return f"{1e3 * layer.seconds:.4g} {layer.precision}".strip() if layer else "-"
