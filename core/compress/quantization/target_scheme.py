"""Target scheme: which integers a backend computes with fastest and rightly, by processor.

- onnxruntime on x86: u8 activations, s8 weights per channel. Without VNNI its AVX2 kernels add two
  u8 * s8 products in 16 bits, and two full-sized ones do not fit. The products are those of
  neighbouring input channels, so it is enough that no such pair of weights adds up to more than
  128; only where channels cannot be paired do weights keep to 7 bits. Signed activations take a
  kernel that hardly beats fp32.
- onnxruntime on ARM: s8 activations, s8 weights, no such sum.
- openvino: as onnxruntime; its kernels saturate on the same processors. A zero point other than 0
  costs its convolutions time, so what lies about evenly around zero is s8 around it.
- opencv: its classic engine reads QDQ of s8 activations and s8 weights.
- generic: the intersection that phones take: s8 activations, s8 weights, shared scales at Concat.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BACKENDS = ("onnxruntime", "openvino", "opencv", "generic")
VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
LARGEST, LARGEST_PAIR, LARGEST_LONE = 127, 128, 64
ARM = frozenset({"arm64", "aarch64"})


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the writer must know of the target.

    Attributes:
        backend: one of BACKENDS.
        signed: activations are s8 instead of u8.
        saturates: the kernel adds pairs of products in 16 bits (see `pairing`).
        per_channel: one weight scale per output channel.
        bits: of activations, 8 or 16.
        share_concat: all inputs of a Concat take one scale, whatever it costs.
        mixed: activations that lie about evenly around zero are s8, the others u8.
    """

    backend: str = "onnxruntime"
    signed: bool = False
    saturates: bool = False
    per_channel: bool = True
    bits: int = 8
    share_concat: bool = False
    mixed: bool = False

    def pairing(self, channels: int, groups: int) -> tuple[int, bool]:
        """(largest magnitude of a weight's integer, whether neighbouring channels are bounded).

        Args:
            channels: input channels of each group.
            groups: of the convolution.
        """
        if not self.saturates or (groups > 1 and channels == 1):
            return LARGEST, False  # depthwise kernels sum in 32 bits
        return (LARGEST, True) if channels % 2 == 0 and groups == 1 else (LARGEST_LONE, False)


def scheme(backend: str, activations: str = "auto", per_channel: bool = True) -> Scheme:
    """The scheme for a backend on this machine.

    Args:
        backend: one of BACKENDS.
        activations: "u8", "s8" or "auto".
        per_channel: False for one scale per weight tensor.
    """
    signed = activations == "s8" or (activations == "auto" and _prefers_signed(backend))
    overflows = backend in ("onnxruntime", "openvino") and saturates()
    mixed = backend == "openvino" and activations == "auto" and not signed
    return Scheme(
        backend, signed, overflows, per_channel, share_concat=backend == "generic", mixed=mixed
    )


def saturates() -> bool:
    """Whether u8 * s8 kernels of this processor add pairs of products in 16 bits."""
    return machine() not in ARM and not (flags() & VNNI)


def _prefers_signed(backend: str) -> bool:
    return backend in ("opencv", "generic") or machine() in ARM


def machine() -> str:
    """The processor family."""
    return platform.machine().lower()


@cache
def flags() -> frozenset[str]:
    """Instruction sets of this processor; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return next(
        (frozenset(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")),
        frozenset(),
    )
