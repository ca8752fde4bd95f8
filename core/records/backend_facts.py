"""Backend facts: what a runtime states of itself, so that nobody else keeps a table of names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Int8Facts:
    """Which integers a target computes with fastest and rightly, on this processor.

    Attributes:
        signed: activations are s8 instead of u8.
        saturates: its kernels add pairs of u8 x s8 products in 16 bits.
        mixed: a zero point other than 0 costs time, so that activations that lie about evenly
            around zero are s8 around it, the others u8.
        share_concat: all inputs of a Concat take one scale, whatever it costs.
        wide: layers with 16-bit activations compute in integers, not at the speed of float.
        loses_stem_bias: of the first convolution, where the batch is free (see
            `core.compress.quantization.batches`).
    """

    signed: bool = False
    saturates: bool = False
    mixed: bool = False
    share_concat: bool = False
    wide: bool = False
    loses_stem_bias: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """What installing a runtime brings.

    Attributes:
        name: of the distribution.
        size_bytes: on disk, of this distribution alone.
        licence: under which it is given away.
    """

    name: str
    size_bytes: int
    licence: str


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """What forms, charts and passes ask of a backend without loading it.

    Attributes:
        color: in every chart, as #rrggbb: at least 3:1 against white and against black, and told
            from the others' by most eyes.
        int8: the integers that a recipe for it is written in; None where int8 is not offered.
        reference: whether it runs in this process for the passes, and every other backend's output
            is compared with its. One backend is that.
        opening: whether a form offers to measure on it before anyone has chosen.
        place: in lists, by which forms order what they offer; equal ones by name.
        internal: whether it exists to check the harness and is not offered to users.
        one_core: whether it has no threads: "all cores" is one there, two are refused.
        int8_does: what really happens there to an int8 file, in one sentence.
        package: that it is installed from; None where there is nothing to install.
    """

    color: str
    int8: Int8Facts | None = None
    reference: bool = False
    opening: bool = False
    place: int = 50
    internal: bool = False
    one_core: bool = False
    int8_does: str = ""
    package: Package | None = None
