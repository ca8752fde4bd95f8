"""Diagnoses on demand: made in turns in the background, kept on disk for all.

What is kept are attempts, one model on one version of one runtime, and whole diagnoses of them: a
runtime that is installed anew is tried anew, the others are not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from core import sources
from core.backends.base import catalogue, parse, reads
from core.data import proposed
from core.errors import CoreError
from core.formats.base.artifacts import Artifacts, maker
from core.measure import Source
from core.records import Attempt, Diagnosis, ModelSummary, Obstacle
from core.runs.builds import code_digest
from core.runs.doctor.examination import Examination, targets
from core.runs.home import Home
from core.runs.images import ImageSource
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

RETRY_S = 60.0  # after a child died of one
KEPT = 512


@dataclass(frozen=True, slots=True)
class Question:
    """What a diagnosis is asked of.

    Attributes:
        model: an admitted model.
        images: of which the first are fed; without any, inputs are made up.
    """

    model: ModelSummary
    images: ImageSource

    @property
    def dims(self) -> dict[str, int]:
        """A size for every open dimension: what is usual for such a model, one of a batch."""
        usual = proposed(self.model).dims
        names = (d for spec in self.model.inputs for d in spec.shape if isinstance(d, str))
        return {name: usual.get(name, 1) for name in names}

    @property
    def key(self) -> str:
        """The same for the same answer."""
        versions = [[target, *_version(target)] for target in targets()]
        return key_of(self._facts(self.model.digest), versions)

    def attempt(self, model: ModelSummary, target: str) -> str:
        """Names the attempt with a form of the model on a target."""
        return key_of(self._facts(model.digest), target, _version(target))

    def _facts(self, digest: str) -> list[object]:
        return [digest, self.images.digest, sorted(self.dims.items()), _code()]


class Told(Step):
    """A step that passes on what it is told."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` hears what is done."""
        super().__init__()
        self._tell = tell

    def tell(self, words: str) -> None:
        """Say what it does."""
        super().tell(words)
        self._tell(words)


class Diagnoses:
    """Diagnoses in turns. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        self._home = home
        self._attempts: Shelf[Attempt] = Shelf(Attempt, home.caches / "attempts", KEPT)
        self._hindrances: Shelf[tuple[Obstacle, ...]] = Shelf(
            tuple[Obstacle, ...], home.caches / "hindrances", KEPT
        )
        shelf: Shelf[Diagnosis] = Shelf(Diagnosis, home.caches / "diagnoses")
        self._made = OnDemand(turns, shelf, child_died_s=RETRY_S)

    def known(self, question: Question) -> Diagnosis | None:
        """What was found before; nothing is asked for."""
        return self._made.known(question.key)

    def get(self, question: Question, visitor: str = "") -> Diagnosis | None:
        """What is known; None while it is being made, which this call asks for.

        Raises:
            CoreError: it cannot be made, or could not a moment ago.
        """
        work = functools.partial(self._make, question)
        return self._made.ask(question.key, work, visitor)

    def _make(self, question: Question, step: Step) -> Diagnosis:
        examination = Examination(
            question.model,
            question.dims,
            Source(question.images.path, question.images.digest, question.model.preprocess),
            Artifacts(self._home.artifacts),
            self._attempts,
            self._hindrances,
            question.attempt,
            step,
        )
        return examination.diagnose(targets())

    def now(self, question: Question, step: Step) -> Diagnosis:
        """What is known, or made in this thread.

        Raises:
            CoreError: the model cannot be worked on.
        """
        return self._made.now(question.key, functools.partial(self._make, question), step)

    def told(self, question: Question) -> str:
        """What is tried now, or whom it waits for."""
        standing = self._made.standing(question.key)
        if not standing.is_running:
            return "Waiting for its turn"
        done = f" ({standing.done + 1} of {standing.total} targets)" if standing.total else ""
        return f"{standing.words or 'Starting'}{done}"

    def stop(self, question: Question) -> None:
        """Nobody wants it any more."""
        self._made.stop(question.key)


@functools.cache
def _code() -> str:
    return (
        sources.digest("backends", "formats", "measure", "runs/doctor", "worker")[:16]
        + (code_digest()[:16])
    )


def _version(target: str) -> tuple[str, ...]:
    """What decides the answers of a target besides our code; nothing where it is not here."""
    try:
        name, _ = parse(target)
        return catalogue()[name].version(), *maker(reads(target))
    except CoreError:
        return ()
