"""What is measured, and on what: a model as admitted, a backend, and where the inputs come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.backends.base import parse
from core.records import ModelSummary, Preprocess, RunOptions


@dataclass(frozen=True, slots=True)
class Source:
    """Where model inputs come from.

    Attributes:
        data: an admitted image set; None for inputs made up from the model's signature.
        digest: of the set; empty without one.
        preprocess: how its pixels become inputs; None guesses from the input.
        images: samples used at most; 0 for all.
    """

    data: Path | None = None
    digest: str = ""
    preprocess: Preprocess | None = None
    images: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """A backend with its precision and threads."""

    spec: str
    name: str
    options: RunOptions

    @classmethod
    def of(cls, spec: str, threads: int = 1) -> Setting:
        """Read "openvino:bf16".

        Raises:
            BackendUnavailable: no backend, or no precision, of that name.
        """
        name, precision = parse(spec)
        return cls(spec, name, RunOptions(threads, precision))


def memory_bytes(model: ModelSummary | None) -> int:
    """What a worker may use for this model: generous for activations, bounded for bombs."""
    return max(4 << 30, 6 * model.size_bytes + (2 << 30)) if model else 4 << 30
