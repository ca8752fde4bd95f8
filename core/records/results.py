"""Results across runs: a recipe on a backend with what it holds under, and how a user marked it."""

from __future__ import annotations

from dataclasses import dataclass

from core.records.recipes import Recipe
from core.records.runs import RunProgress


@dataclass(frozen=True, slots=True)
class Number:
    """A value with its 95 % interval; both bounds equal it where it is exact."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """What two results must share for their numbers to be weighed against each other.

    Attributes:
        device: its id, and in words.
        version: of the backend.
        input: shape, the batch first; empty where it was not kept.
        data: digest of the evaluation images; empty for none.
        images: how many of them.
        metric: the primary one of the run, in which accuracy is told.
    """

    device: str
    machine: str
    backend: str
    version: str
    threads: int
    input: str
    data: str
    images: int
    metric: str


@dataclass(frozen=True, slots=True)
class Result:
    """One recipe of one run on one backend, with one thread count.

    Attributes:
        run: id of the run.
        created: of the run, UTC.
        candidate: digest of the file.
        gain: of the primary metric.
        change: of it against the original, in points.
        latency: in milliseconds, placed by its paired ratio.
        ratio: of latencies, candidate / original, paired.
        original_ms: that the ratio was placed by.
        reason: why a number is missing.
    """

    run: str
    created: str
    candidate: str
    recipe: Recipe
    under: Conditions
    gain: Number | None = None
    change: Number | None = None
    latency: Number | None = None
    ratio: Number | None = None
    original_ms: float | None = None
    verdict: str = ""
    busy: bool = False
    size_bytes: int | None = None
    is_original: bool = False
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Run and candidate: what a bookmark is of."""
        return self.run, self.candidate


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a user made of a result: a name, a note, tags; and whether it is pinned."""

    name: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """A run of one's own that is being worked on.

    Attributes:
        model: its name.
        ahead: runs of anybody that were started before it and are worked on, too.
    """

    id: str
    title: str
    model: str
    progress: RunProgress
    ahead: int
