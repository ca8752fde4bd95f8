"""What the other runtimes that are here make of the finished graph, and what to do about it.

A file that was made for one runtime is opened by another one sooner or later. Each runs the graph
on some held-out images. Where one strays from what the file says, the first layers are left float,
one more at a time: what is misread was so far at the inputs, where runtimes fuse preprocessing,
padding and shapes. What still strays is a warning, which goes with the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.calibration import targets
from core.calibration.services import Runtime, Services
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.mixed_precision.layer_sensitivity import (
    covered,
    restricted,
    without,
)
from core.compress.quantization.partition import select
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.errors import BackendUnavailable
from core.passes.base import Graph, Report
from core.passes.quantize_int8.fitting import FIRST, STRAYS
from core.records import Note

Read = tuple[str, float, float]  # backend, its error, that of the file as written
IMAGES = 8
SEEN = 1e-3  # a relative error of the logits, below which no answer changes that was not a tie


def runtime_of(services: Services, name: str) -> Runtime | None:
    """Runs graphs on another runtime than that of this process, if that is here."""
    if targets.runs_in_process(name) or not targets.here(name):
        return None
    try:
        return services.elsewhere(name)
    except BackendUnavailable:
        return None  # the race says so


def readers_of(services: Services, backend: str) -> list[Runtime]:
    """Runs graphs on the runtimes that are here, but for the one that the recipe is for."""
    found = list[Runtime]()
    for name in (name for name in targets.int8() if name != backend and targets.here(name)):
        try:
            found.append(services.elsewhere(name))
        except BackendUnavailable:
            continue  # what is not here cannot be asked
    return found


def agreed(
    graph: Graph,
    plan: QuantizationPlan,
    evaluator: Evaluator,
    readers: Sequence[Runtime],
    report: Report,
) -> QuantizationPlan:
    """The plan, with as many first layers in float as it takes for all runtimes to read it rightly.

    Args:
        graph: the prepared float graph, with logits as outputs.
        plan: the finished one.
        evaluator: measures errors on held-out images.
        readers: runtimes; each is closed.
        report: hears what each made of it.
    """
    few, said = evaluator.few(IMAGES, at_once=1), list[Read]()
    for reader in readers:
        few.backend = reader
        try:
            plan = _read(graph, plan, few, said, report)
        finally:
            reader.close()
    if said:
        report.note(Note.of("int8.read_elsewhere", images=few.images, read=said))
    return plan


def _read(
    graph: Graph, plan: QuantizationPlan, evaluator: Evaluator, said: list[Read], report: Report
) -> QuantizationPlan:
    """The plan that this runtime reads rightly, or the given one and a warning."""
    label = evaluator.backend.label if evaluator.backend else ""
    there, right = _errors(graph, plan, evaluator)
    if there == float("inf") or _alike(there, right):
        said.append((label, there, right))
        return plan
    for count, trial in _mended(graph, plan):
        now, wanted = _errors(graph, trial, evaluator)
        if _alike(now, wanted):
            found = {"backend": label, "there": there, "written": right, "now": now}
            report.note(Note.of("int8.mended", first=count, **found))
            return trial
    report.warn(Note.of("int8.misread", backend=label, there=there, written=right))
    return plan


def _mended(graph: Graph, plan: QuantizationPlan) -> Iterator[tuple[int, QuantizationPlan]]:
    """(how many, the plan with that many more of the first layers in float)."""
    weighted = plan.selection.weighted
    floats = select(graph).nodes - plan.selection.nodes
    for count in (n for n in FIRST if n < len(weighted)):
        selection = without(graph, floats | frozenset(weighted[:count]))
        if selection.weighted and covered(plan, selection):
            yield count, restricted(plan, selection)


def _errors(graph: Graph, plan: QuantizationPlan, evaluator: Evaluator) -> tuple[float, float]:
    """On the backend, and as the file says."""
    made = written(graph, plan)
    return evaluator.error(made), evaluator.error_as_written(made)


def _alike(there: float, right: float) -> bool:
    return there <= STRAYS * right + SEEN
