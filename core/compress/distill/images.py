"""Calibration images for training: all at hand, some of them held out to judge by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.compress.distill.operators import Array, Tensor
from core.errors import PassPrecondition

KEPT_BYTES = 384 << 20
HELD_OUT = 8  # one image of so many
FEWEST = 16
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingImages:
    """Model inputs as tensors; `fixed` is the only batch size that the model takes, or 0."""

    train: Batch
    held_out: Batch
    fixed: int

    @property
    def count(self) -> int:
        """Images to train on."""
        return len(next(iter(self.train.values())))

    def batches(self, size: int, held_out: bool = False) -> Iterator[Batch]:
        """All images in their order; those that fill no fixed batch are left out."""
        source, size = self.held_out if held_out else self.train, self.fixed or size
        total = len(next(iter(source.values())))
        for start in range(0, total, size):
            if not self.fixed or start + size <= total:
                yield {name: x[start : start + size] for name, x in source.items()}

    def draw(self, size: int, generator: Any) -> Batch:
        """`size` random images."""
        import torch

        count, size = self.count, self.fixed or size
        chosen = torch.randint(count, (size,), generator=generator)
        return {name: x[chosen] for name, x in self.train.items()}


def gather(feeds: Iterable[Mapping[str, Array]], fixed: int) -> TrainingImages:
    """Keep the first images that fit in KEPT_BYTES; every HELD_OUT-th batch's worth is held out.

    Args:
        feeds: preprocessed inputs, batch by batch.
        fixed: the only batch size that the model takes, or 0.

    Raises:
        PassPrecondition: too few images to hold any out.
    """
    import torch

    kept: list[Mapping[str, Array]] = []
    held = 0
    for batch in feeds:
        held += sum(array.nbytes for array in batch.values())
        if kept and held > KEPT_BYTES:
            break
        kept.append(batch)
    count = sum(len(next(iter(batch.values()))) for batch in kept)
    if count < FEWEST or count < 2 * fixed:
        raise PassPrecondition(
            f"Fine-tuning needs at least {max(FEWEST, 2 * fixed)} calibration images, and there "
            f"are {count}; add images."
        )
    whole = {name: np.concatenate([batch[name] for batch in kept]) for name in kept[0]}
    kept.clear()
    places = np.arange(count)
    out = places[-fixed:] if fixed > count // HELD_OUT else places[::HELD_OUT]
    rest = np.setdiff1d(places, out)
    return TrainingImages(
        {name: torch.from_numpy(array[rest]) for name, array in whole.items()},
        {name: torch.from_numpy(array[out]) for name, array in whole.items()},
        fixed,
    )
