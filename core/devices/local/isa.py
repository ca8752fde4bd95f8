"""`LATHE_CPU_ISA`: runtimes as a lesser CPU would see them, for tests.

Only OpenVINO can be told: by two variables, one for its own kernels and one for those of oneDNN,
which must agree (with different ones it crashes). ONNX Runtime and OpenCV ask the CPU alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "LATHE_CPU_ISA"
PASSED_ON = ("OV_CPU_MAX_ISA", "ONEDNN_MAX_CPU_ISA")
# Instruction sets as both of them name them, each with those before it, and what it brings by the
# names of /proc/cpuinfo.
ADDED: Mapping[str, tuple[str, ...]] = {
    "SSE41": ("sse4_1",),
    "AVX2": ("avx2",),
    "AVX2_VNNI": ("avx_vnni",),
    "AVX512_CORE": ("avx512f",),
    "AVX512_CORE_VNNI": ("avx512_vnni",),
    "AVX512_CORE_BF16": ("avx512_bf16",),
    "AVX512_CORE_AMX": ("amx_int8", "amx_bf16"),
}


def cap() -> str:
    """The instruction set that runtimes are held to; empty for all that the CPU has."""
    name = os.environ.get(VARIABLE, "").upper()
    return name if name in ADDED else ""


def environment() -> dict[str, str]:
    """What a child needs so that its runtime keeps to the cap."""
    name = cap()
    return dict.fromkeys((VARIABLE, *PASSED_ON), name) if name else {}


def hidden() -> frozenset[str]:
    """Flags of /proc/cpuinfo that the cap hides."""
    name, names = cap(), list(ADDED)
    beyond = names[names.index(name) + 1 :] if name else ()
    if name == "AVX512_CORE":  # there are such CPUs: AVX-512, and no VNNI of either kind
        beyond = (*beyond, "AVX2_VNNI")
    return frozenset(flag for other in beyond for flag in ADDED[other])
