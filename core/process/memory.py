"""Memory that is free: in the machine, in the control groups around this process, in a child.

A container is told the memory of its host by /proc/meminfo; what it may use stands in its control
groups, every ancestor of which may set a bound of its own. `LATHE_MEMORY` (bytes, or 800M, 6G) sets
the whole by hand, larger or smaller.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "LATHE_MEMORY"
UNITS: Mapping[str, int] = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
UNBOUNDED = 1 << 60  # control groups of version 1 write "no limit" as a number near 2**63
UNKNOWN = 4 << 30  # where the system tells nothing
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that new work may use: `LATHE_MEMORY`, else what machine and groups have free."""
    asked = asked_bytes()
    if asked is not None:
        return asked
    return min([_available(proc), *_left_in_groups(proc, cgroups)])


def budget_bytes() -> int:
    """Bytes that this process may still take: what is free, within its own RLIMIT_AS."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft == resource.RLIM_INFINITY:
        return free_bytes()
    return max(0, min(free_bytes(), soft - _address_space()))


def asked_bytes() -> int | None:
    """`LATHE_MEMORY` in bytes; None where it is not set or not a size."""
    text = os.environ.get(VARIABLE, "").strip().upper().removesuffix("B").removesuffix("I")
    unit = UNITS.get(text[-1:], 1)
    number = text[:-1] if text[-1:] in UNITS else text
    try:
        size = int(float(number) * unit)
    except (ValueError, OverflowError):
        return None
    return size if size > 0 else None


def _available(proc: Path) -> int:
    found = _fields(proc / "meminfo").get("MemAvailable:")
    return found * 1024 if found is not None else UNKNOWN


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each control group of this process, and each group around it, has left."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, usage = names if controllers else ("memory.max", "memory.current")
        for group in (root / inside.lstrip("/"), *(root / inside.lstrip("/")).parents):
            yield from _left(group, limit, usage)
            if group == root:
                break


def _left(group: Path, limit: str, usage: str) -> Iterator[int]:
    bound, used = _number(group / limit), _number(group / usage)
    if bound is None or bound >= UNBOUNDED:
        return
    cache = _fields(group / "memory.stat").get("inactive_file", 0)  # given back when asked for
    yield max(0, bound - max(0, (used or 0) - cache))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit of its own
        return None


def _fields(path: Path) -> dict[str, int]:
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _address_space() -> int:
    try:
        pages = int((PROC / "self" / "statm").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
