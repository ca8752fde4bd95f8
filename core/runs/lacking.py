"""What a question names that is not here: the model, its images, passes or backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import CoreError
from core.measure import Setting
from core.passes.base import build
from core.records import BackendInfo, ExperimentSpec, Step, backend_of

SHOWN = 12  # characters of a digest


def lacking(
    spec: ExperimentSpec,
    has_model: Callable[[str], bool],
    has_images: Callable[[str], bool],
    backends: Sequence[BackendInfo],
) -> tuple[str, ...]:
    """A sentence for each thing that is missing; none where the question can be asked.

    Args:
        spec: the question.
        has_model: whether a model of this digest is here.
        has_images: whether an image set of this digest is.
        backends: as they are on this machine.
    """
    found = []
    if not has_model(spec.model):
        found.append(f"The model is not here (SHA-256 {spec.model[:SHOWN]} …): upload it.")
    for kind, digest in (("calibration", spec.calibration), ("evaluation", spec.evaluation)):
        if digest and not has_images(digest):
            found.append(
                f"The {kind} images are not here (SHA-256 {digest[:SHOWN]} …): upload them."
            )
    found += [said for step in spec.recipes[-1].steps if (said := _unknown(step))]
    known = {info.name: info for info in backends}
    for asked in spec.backends:
        if said := _unasked(asked):
            found.append(said)
        elif (info := known.get(backend_of(asked))) is not None and info.reason:
            found.append(f"{info.label} is not here: {info.reason} {info.remedy}".strip())
    return tuple(dict.fromkeys(found))


def _unknown(step: Step) -> str:
    """Why this version does not take a step; empty where it does."""
    try:
        build(step)
    except CoreError as error:
        return error.message
    return ""


def _unasked(backend: str) -> str:
    """Why no run can name a backend, or its precision; empty where it can."""
    try:
        Setting.of(backend)
    except CoreError as error:
        return error.message
    return ""
