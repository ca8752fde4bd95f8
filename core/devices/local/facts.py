"""Facts of this machine that decide how long a model runs here."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from core.devices.local import isa

# What decides how fast int8 and bf16 run, by the name in /proc/cpuinfo.
FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX BF16",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "int8 matrix multiply",
    "bf16": "BF16",
}


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def system() -> str:
    """The operating system and its release."""
    return f"{platform.system()} {platform.release()}"


def processor() -> tuple[str, tuple[str, ...]]:
    """Its name, and the instruction sets that it has, in words."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), ()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    present = set((fields.get("flags") or fields.get("Features") or "").split()) - isa.hidden()
    found = dict.fromkeys(label for flag, label in FLAGS.items() if flag in present)
    name = fields.get("model name") or platform.machine()
    return name + (f", held to {isa.cap()}" if isa.cap() else ""), tuple(found)
