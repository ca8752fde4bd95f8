"""Subject: what a program has to know of the model that it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.backends.base import parse, reads
from core.data import model_at
from core.data.input_sizes import FREE_BATCH
from core.errors import DataError, StoreError
from core.formats.base import parse as format_of
from core.package.base.pixels import Pixels, pixels_of
from core.records import ModelSummary, Recipe, Run, TensorSpec
from core.records.standing import first_threads, outcome_of
from core.tasks.base import Signature, catalogue, task_of


@dataclass(frozen=True, slots=True)
class Subject:
    """A model on a backend.

    Attributes:
        name: of the original.
        recipe: that made it.
        digest: of the ONNX file.
        spec: the backend as it was asked for.
        backend, precision: the two parts of it.
        threads: as asked for; 0 is all cores.
        file: what the backend is given.
        inputs, outputs: at the sizes that were measured.
        pixels: how an image becomes the input; None where the model takes arrays.
        labels: of the classes; empty where the model does not name them.
        task: its identifier.
    """

    name: str
    recipe: Recipe
    digest: str
    spec: str
    backend: str
    precision: str
    threads: int
    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    pixels: Pixels | None
    labels: tuple[str, ...]
    task: str

    @property
    def batch(self) -> int:
        """How many images the model takes at once."""
        first = self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else FREE_BATCH
        return first if isinstance(first, int) else FREE_BATCH

    def of_one_image(self) -> Subject:
        """The same where the file takes one image at a time."""
        first = self.inputs[0]
        return replace(self, inputs=(replace(first, shape=(FREE_BATCH, *first.shape[1:])),))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names for every class that the first output tells apart; empty where one is missing."""
        shape = self.outputs[0].shape[1:] if self.outputs else ()
        wide = [size for size in shape if size != 1]
        return self.labels if wide[:1] == [len(self.labels)] else ()


def subject_of(run: Run, digest: str, spec: str) -> Subject:
    """A candidate of a run on one of its backends.

    Raises:
        StoreError: the run made no such candidate.
        BackendUnavailable: no such backend, precision or format.
    """
    outcome = outcome_of(run, digest)
    if outcome is None or outcome.summary is None:
        raise StoreError("This run made no such model.")
    model = model_at(outcome.summary, run.spec.dims)
    backend, precision = parse(spec)
    return Subject(
        name=run.model.name,
        recipe=outcome.recipe,
        digest=digest,
        spec=spec,
        backend=backend,
        precision=precision,
        threads=first_threads(run),
        file=format_of(reads(spec))[0].file,
        inputs=model.inputs,
        outputs=model.outputs,
        pixels=_pixels(run, model),
        labels=run.model.labels or model.labels,
        task=_task(model),
    )


def _pixels(run: Run, model: ModelSummary) -> Pixels | None:
    """As the run fed the model: by the preprocessing of the original, else by a guess."""
    try:
        return pixels_of(model.inputs, run.model.preprocess)
    except DataError:
        return None


def _task(model: ModelSummary) -> str:
    task = task_of(Signature.of_model(model))
    return next(name for name, known in catalogue().items() if known is task)
