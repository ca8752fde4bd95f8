"""The sizes at which a run measures a model whose file leaves dimensions open."""

from __future__ import annotations

from core.data import at, called, open_dims, proposed, told
from core.errors import DataError, OpenShape
from core.records import DataSummary, ExperimentSpec, ModelSummary


def sizes_of(spec: ExperimentSpec, model: ModelSummary, data: DataSummary | None) -> dict[str, int]:
    """A size for every open dimension of the model: stated, or told by the images.

    Raises:
        OpenShape: one is missing.
        DataError: one belongs to no dimension.
    """
    if unknown := [name for name in spec.dims if name not in model.dynamic_dims]:
        raise DataError(f"{model.name} has no open dimension {unknown[0]!r}.")
    found = told(model.inputs, model.preprocess, data, spec.dims)
    if left := open_dims(at(model.inputs, found)):
        words = " and ".join(dict.fromkeys(called(model.inputs, name) for name in left))
        proposal = proposed(model, data, dict(spec.dims))
        sizes = ((called(model.inputs, name), size) for name, size in proposal.dims.items())
        example = ", ".join(f"{word} {size}" for word, size in sizes)
        raise OpenShape(
            f"{model.name} takes inputs of any size, and its time depends on it: state the "
            f"{words} to measure at.",
            f"For example {example} ({proposal.why}).",
        )
    return found
