"""Target scheme: which integers a recipe is written in, by what its target states of itself.

Where kernels add two u8 * s8 products in 16 bits (`Int8Facts.saturates`), those are the products of
neighbouring input channels, so it is enough that no such pair of weights adds up to more than 128;
only where channels cannot be paired do weights keep to 7 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.records import Int8Facts

LARGEST, LARGEST_PAIR, LARGEST_LONE = 127, 128, 64


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the writer must know of the target.

    Attributes:
        backend: the target, by name.
        signed: activations are s8 instead of u8.
        saturates: the kernel adds pairs of products in 16 bits (see `pairing`).
        per_channel: one weight scale per output channel.
        bits: of activations, 8 or 16.
        share_concat: all inputs of a Concat take one scale, whatever it costs.
        mixed: activations that lie about evenly around zero are s8, the others u8.
        target: what the target states of itself.
    """

    backend: str = ""
    signed: bool = False
    saturates: bool = False
    per_channel: bool = True
    bits: int = 8
    share_concat: bool = False
    mixed: bool = False
    target: Int8Facts = field(default_factory=Int8Facts)

    def pairing(self, channels: int, groups: int) -> tuple[int, bool]:
        """(largest magnitude of a weight's integer, whether neighbouring channels are bounded).

        Args:
            channels: input channels of each group.
            groups: of the convolution.
        """
        if not self.saturates or (groups > 1 and channels == 1):
            return LARGEST, False  # depthwise kernels sum in 32 bits
        return (LARGEST, True) if channels % 2 == 0 and groups == 1 else (LARGEST_LONE, False)


def scheme(
    backend: str, target: Int8Facts, activations: str = "auto", per_channel: bool = True
) -> Scheme:
    """The scheme for a target on this machine.

    Args:
        backend: its name.
        target: what it states of itself.
        activations: "u8", "s8" or "auto".
        per_channel: False for one scale per weight tensor.
    """
    signed = activations == "s8" or (activations == "auto" and target.signed)
    mixed = target.mixed and activations == "auto" and not signed
    return Scheme(
        backend, signed, target.saturates, per_channel,
        share_concat=target.share_concat, mixed=mixed, target=target,
    )  # fmt: skip
