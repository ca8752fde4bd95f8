"""The facts about this machine that make two numbers comparable."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
from pathlib import Path

from core.backends.base import catalogue
from core.errors import BackendUnavailable
from core.process import isa
from core.records import Host, to_json

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
FAST_INT8 = {"AVX-512 VNNI", "AVX-VNNI", "AMX int8", "NEON dot product", "int8 matrix multiply"}


@functools.cache
def host() -> Host:
    """This machine, with the versions of the backends that are installed."""
    name, flags = _cpu()
    versions = {"python": platform.python_version()}
    for backend, kind in catalogue().items():
        if not kind.facts.internal:
            try:
                versions[backend] = kind.version()
            except BackendUnavailable:
                continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Host(name, flags, cores or 1, f"{platform.system()} {platform.release()}", versions)


def digest(record: Host) -> str:
    """A short name for a host; numbers are comparable only where it is equal."""
    return hashlib.sha256(json.dumps(to_json(record), sort_keys=True).encode()).hexdigest()[:16]


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


def _cpu() -> tuple[str, tuple[str, ...]]:
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
