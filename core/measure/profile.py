"""Where two candidates spend their time on one backend, layer beside layer.

Both are profiled in one worker, in turns, under the measuring lock. Rows carry the names of the
model file where the runtime kept them; what it renamed is matched by kind, in order, between the
rows that did match.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from core.data import shape_text
from core.formats.base.artifacts import Artifacts
from core.records import LayerCost, LayerPair, LayerProfile, ModelSummary, Profile
from core.worker.client import Worker
from core.worker.protocol import LayerRow, LayerRows
from core.worker.setting import Setting, Source
from core.worker.timing.plan import ProfilingPlan

COMPUTE = "compute"
OF_THE_FILE = (COMPUTE, "other")  # roles of layers that the model file knows
BUSY_SHARE = 0.8  # CPU time of a call below this share of its wall time
BYTES_PER_WEIGHT = 2.0
NOTICEABLE = 1.15
KINDS = {"quantize": "quantize, dequantize", "cast": "cast", "reorder": "layout change"}


@dataclass(frozen=True, slots=True)
class ProfileJob:
    """What is profiled.

    Attributes:
        before, after: the two models.
        setting: backend, precision and threads.
        source: where the input comes from.
        zeros: share of zero weights of each.
        plan: how much to run.
        artifacts: where models are converted for backends that read no ONNX.
    """

    before: ModelSummary
    after: ModelSummary
    setting: Setting
    source: Source = field(default_factory=Source)
    zeros: tuple[float, float] = (0.0, 0.0)
    plan: ProfilingPlan = field(default_factory=ProfilingPlan)
    artifacts: Artifacts | None = None


def profile(
    job: ProfileJob,
    cancelled: Callable[[], bool] = lambda: False,
    check: Callable[[], None] = lambda: None,
) -> tuple[Profile, Profile]:
    """Profile both models; `check` is called while the machine is busy, and may raise.

    Raises:
        BackendUnavailable: not installed, or it does not tell how long its layers take.
        BackendError, DataError, WorkerError, Cancelled
    """
    larger = max(job.before, job.after, key=lambda model: model.size_bytes)
    place = job.setting.place
    with place.alone(check), Worker(larger, cancelled, job.artifacts, place) as worker:
        worker.prepare(job.before, job.source, 1)
        reply = worker.profile(job.before, job.after, job.setting, job.plan)
    return (
        read(reply.before, job.before, job.setting, job.zeros[0]),
        read(reply.after, job.after, job.setting, job.zeros[1]),
    )


def read(
    reply: LayerRows, model: ModelSummary, setting: Setting, zero_share: float = 0.0
) -> Profile:
    """A worker's rows joined with what is known of the model's layers."""
    costs = {layer.name: layer for layer in model.layers}
    total = sum(row.seconds for row in reply.layers) or 1.0
    layers = tuple(_layer(row, costs.get(row.name), total, model.quantized) for row in reply.layers)
    notes = [
        f"{reply.runs} runs, in turns with the other model",
        f"input {shape_text(model.inputs)}",
    ]
    if reply.profiled_s > NOTICEABLE * reply.total_s:
        notes.append(
            f"keeping the times made a call {reply.profiled_s / reply.total_s:.1f} times as "
            "long: short layers look longer here than they are"
        )
    busy = setting.options.threads == 1 and reply.cpu_s < BUSY_SHARE * reply.total_s
    if busy:
        notes.append("the machine was busy with other work, so calls look longer than they are")
    if not any(layer.precision for layer in layers):
        notes.append("this backend does not tell the precision of its layers")
    if not any(layer.sources for layer in layers):
        notes.append("this backend does not tell what reads from what")
    return Profile(
        candidate=model.digest,
        backend=setting.spec,
        threads=setting.options.threads,
        layers=layers,
        total_s=reply.total_s,
        notes=tuple(notes),
        macs=model.macs or 0,
        parameters=model.parameters,
        size_bytes=model.size_bytes,
        batch_norms=model.batch_norms,
        quantized=model.quantized,
        zero_share=zero_share,
        busy=busy,
    )


def _layer(row: LayerRow, cost: LayerCost | None, total_s: float, quantized: bool) -> LayerProfile:
    computes = row.role == COMPUTE
    channels = cost.output_shape[1] if cost and len(cost.output_shape) > 1 else 0
    return LayerProfile(
        node=row.node,
        name=row.name,
        op_type=row.op_type,
        kind=KINDS.get(row.role) or (cost.kind if cost else row.op_type),
        seconds=row.seconds,
        share=row.seconds / total_s,
        precision=row.precision,
        provider=row.provider,
        implementation=row.implementation,
        role=row.role,
        macs=(cost.macs or 0) if cost and computes else 0,
        channels=channels if isinstance(channels, int) else 0,
        stored_integer=quantized and _is_small(cost),
        sources=row.sources,
    )


def _is_small(cost: LayerCost | None) -> bool:
    """Whether the weights take about a byte each; the bias beside them is wider."""
    return cost is not None and 0 < cost.size_bytes < BYTES_PER_WEIGHT * cost.parameters


def pairs(before: Profile, after: Profile) -> tuple[LayerPair, ...]:
    """Every layer of both, once; in the order of `after`, what is gone where it was."""
    left = _merged(before.layers)
    right = _merged(after.layers)
    matched = _by_name(left, right)
    _by_kind(left, right, matched)
    found: list[LayerPair] = []
    place = 0
    partner = {j: i for i, j in matched.items()}
    for j, layer in enumerate(right):
        if j not in partner:
            found.append(LayerPair(None, layer))
            continue
        gone = [i for i in range(place, partner[j]) if i not in matched]
        found += [LayerPair(left[i], None) for i in gone]
        place = max(place, partner[j] + 1)
        found.append(LayerPair(left[partner[j]], layer))
    shown = {id(pair.before) for pair in found if pair.before}
    found += [LayerPair(layer, None) for layer in left if id(layer) not in shown]
    return tuple(found)


def _merged(layers: Sequence[LayerProfile]) -> list[LayerProfile]:
    """Rows of one layer of the file, of one role, as one: a runtime may split a layer."""
    found: dict[tuple[str, str], LayerProfile] = {}
    for layer in layers:
        key = (layer.name, layer.role)
        if layer.role not in OF_THE_FILE:
            key = (layer.node, layer.role)
        if key in found:
            known = found[key]
            layer = replace(
                known if known.seconds >= layer.seconds else layer,
                seconds=known.seconds + layer.seconds,
                share=known.share + layer.share,
            )
        found[key] = layer
    return list(found.values())


def _by_name(left: Sequence[LayerProfile], right: Sequence[LayerProfile]) -> dict[int, int]:
    places = {(layer.name, layer.role): j for j, layer in enumerate(right)}
    found = {
        i: places[layer.name, layer.role]
        for i, layer in enumerate(left)
        if (layer.name, layer.role) in places and layer.role in OF_THE_FILE
    }
    return found


def _by_kind(
    left: Sequence[LayerProfile], right: Sequence[LayerProfile], matched: dict[int, int]
) -> None:
    """Pair what is left between two matched rows, kind by kind, in order; in place."""
    taken = set(matched.values())
    free: dict[tuple[int, str], list[int]] = {}
    for j, layer in enumerate(right):
        if j not in taken:
            gap = sum(1 for other in taken if other < j)
            free.setdefault((gap, layer.kind), []).append(j)
    anchors = sorted(matched)
    for i, layer in enumerate(left):
        if i in matched:
            continue
        gap = sum(1 for other in anchors if other < i)
        waiting = free.get((gap, layer.kind))
        if waiting:
            matched[i] = waiting.pop(0)
