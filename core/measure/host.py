"""The facts about a device that make two numbers comparable."""

from __future__ import annotations

import functools
from dataclasses import replace

from core.backends.base import here
from core.devices.base import device
from core.records import Described, Host, Target
from core.records.targets import LOCAL
from core.worker.client import Worker

FAST_INT8 = {"AVX-512 VNNI", "AVX-VNNI", "AMX int8", "NEON dot product", "int8 matrix multiply"}


def host(name: str = LOCAL) -> Host:
    """A device, with the versions of the backends that are installed there.

    Raises:
        DeviceUnavailable, WorkerError: as `described`.
    """
    return here.host() if name == LOCAL else _known(name).host


def described(name: str) -> Described:
    """What a device says of itself.

    Raises:
        DeviceUnavailable: there is none of this name.
        WorkerError: no worker runs there.
    """
    if name == LOCAL:
        return here.described()
    with Worker(None, lambda: False, device=device(name)) as worker:
        return worker.describe()


_known = functools.cache(described)


def target(spec: str, threads: int = 0, name: str = LOCAL) -> Target:
    """What a number comes from: a backend, as it is asked for, on a device.

    Raises:
        DeviceUnavailable, WorkerError: as `described`.
    """
    return replace(host(name).target(spec, threads), device=device(name).facts().id)


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
