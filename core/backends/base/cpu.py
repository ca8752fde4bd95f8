"""Processor facts that decide how runtimes compute with 8-bit integers.

Without VNNI the x86 kernels of ONNX Runtime and OpenVINO multiply u8 by s8 and add two neighbouring
products in 16 bits, where two full-sized ones do not fit; ARM kernels have no such sum, and take
s8 activations.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
ARM = frozenset({"arm64", "aarch64"})


def saturates() -> bool:
    """Whether u8 * s8 kernels of this processor add pairs of products in 16 bits."""
    return not is_arm() and not (flags() & VNNI)


def is_arm() -> bool:
    """Whether this is an ARM processor."""
    return machine() in ARM


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
