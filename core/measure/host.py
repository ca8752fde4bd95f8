"""The facts about this machine that make two numbers comparable."""

from __future__ import annotations

import functools

from core.backends.base import catalogue
from core.devices.local.device import machine
from core.errors import BackendUnavailable
from core.records import Host

FAST_INT8 = {"AVX-512 VNNI", "AVX-VNNI", "AMX int8", "NEON dot product", "int8 matrix multiply"}


@functools.cache
def host() -> Host:
    """This machine, with the versions of the backends that are installed."""
    versions: dict[str, str] = {}
    for backend, kind in catalogue().items():
        if not kind.facts.internal:
            try:
                versions[backend] = kind.version()
            except BackendUnavailable:
                continue
    return machine(versions)


def int8_outlook(record: Host) -> str:
    """One sentence: what int8 can gain on this CPU."""
    fast = [flag for flag in record.isa_flags if flag in FAST_INT8]
    if fast:
        return (
            f"{' and '.join(fast)}: int8 products run in one instruction, so int8 can be two to "
            "four times as fast as fp32 in layers that compute much."
        )
    if "AVX2" in record.isa_flags or "AVX-512" in record.isa_flags:
        return (
            "No VNNI: int8 gains less here, and unsigned activations times signed weights can "
            "saturate in 16-bit sums. Compare accuracy before you ship."
        )
    return "No int8 instructions were found: expect int8 to save size, not time."
