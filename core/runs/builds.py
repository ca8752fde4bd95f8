"""What recipes made before: the same model, recipe, images and code give the same file."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile

from core import sources
from core.errors import NotEnoughMemory, WorkerOutOfMemory
from core.recipes import canonical
from core.records import Outcome, Recipe, from_json, to_json
from core.runs.home import Home

# Whatever decides how a candidate comes out.
MAKERS = (
    "calibration",
    "analysis",
    "backends",
    "pipeline",
    "compress",
    "data",
    "fidelity.py",
    "formats",
    "graph",
    "passes",
    "timings.py",
    "verdict.py",
    "worker",
)
LACKED_MEMORY = frozenset({NotEnoughMemory.__name__, WorkerOutOfMemory.__name__})


class Memo:
    """Where the outcome of one question lies, once it is known."""

    def __init__(self, home: Home, model: str, recipe: Recipe, calibration: str) -> None:
        """Name the question: digests of model and images, and the steps of the recipe."""
        facts = [model, to_json(canonical(recipe.steps)), calibration, code_digest()]
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self._path = home.caches / "builds" / f"{key}.json"

    def read(self) -> Outcome | None:
        """The outcome, if it is known."""
        try:
            return from_json(Outcome, json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, outcome: Outcome) -> None:
        """Keep an outcome; one that is only a reason may have other causes and is not kept.

        Neither is one that lacks a step for want of memory: there may be more the next time.
        """
        if outcome.candidate is None or lacked_memory(outcome):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(to_json(outcome), file)
        os.replace(scratch, self._path)


def lacked_memory(outcome: Outcome) -> bool:
    """Whether a step failed that holds where there is more memory."""
    return any(step.failure in LACKED_MEMORY for step in outcome.failed)


def code_digest() -> str:
    """A digest of the sources that make candidates: what an older version made is made anew."""
    return sources.digest(*MAKERS)
