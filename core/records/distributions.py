"""How the numbers of one layer are distributed: its weights, and what leaves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of numbers in bins of equal width.

    Attributes:
        low, high: the smallest and the largest number: the bins lie between them.
        counts: of each bin.
        mean, deviation: of the numbers that were counted.
        zeros: share of exact zeros, 0 to 1.
        levels: how many different numbers there are; 0 for more than 256.
        whole: numbers that there are; where there are very many only some are counted.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    mean: float
    deviation: float
    zeros: float
    levels: int
    whole: int

    @property
    def counted(self) -> int:
        """Numbers that were counted."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Distributions:
    """Of one layer of one model; None for what it does not have.

    Attributes:
        weights: as the model computes with them, so dequantized ones where the file holds integers.
        activations: what leaves the layer, behind what is drawn with it (Relu, quantization).
        images: over which the activations were taken.
        value: name of the value that was looked at.
    """

    weights: Histogram | None = None
    activations: Histogram | None = None
    images: int = 0
    value: str = ""
