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
UNTOUCHED_BYTES = 256 << 20  # buffers of libraries that are hardly used, about
UNTOUCHED_BY_CORE = 32 << 20  # stacks of threads
LEAST_RESERVE, MOST_RESERVE = 128 << 20, 1 << 30
FILE_PAGES = ("inactive_file", "active_file")
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that new work may use: `LATHE_MEMORY`, else what machine and groups have free."""
    asked = asked_bytes()
    if asked is not None:
        return asked
    return min([_available(proc), *_left_in_groups(proc, cgroups)])


def reserve_bytes(free: int) -> int:
    """What of `free` bytes is left for the server, other children and the system."""
    return min(max(free // 20, LEAST_RESERVE), MOST_RESERVE)


def share_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that one piece of work may take now: `LATHE_MEMORY` whole, else less the reserve."""
    free = free_bytes(proc, cgroups)
    return free if asked_bytes() is not None else max(0, free - reserve_bytes(free))


def budget_bytes() -> int:
    """Bytes that this process may still take: its share of what is free, within its own limit."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if soft == resource.RLIM_INFINITY:
        return share_bytes()
    return max(0, min(share_bytes(), soft - untouched_bytes() - resident_bytes("self")))


def untouched_bytes() -> int:
    """What RLIMIT_DATA counts of a process that works and that is never in memory."""
    return UNTOUCHED_BYTES + UNTOUCHED_BY_CORE * (os.cpu_count() or 1)


def limit_bytes(pid: int, proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """The whole that a process may come to hold: what it holds now, and what is free for it."""
    free = share_bytes(proc, cgroups)
    return free if asked_bytes() is not None else resident_bytes(str(pid), proc) + free


def is_short(proc: Path = PROC, cgroups: Path = CGROUPS) -> bool:
    """Whether the machine, or a group, has next to nothing left, whoever took it."""
    return min([_available(proc), *_left_in_groups(proc, cgroups)]) < LEAST_RESERVE // 2


def resident_bytes(pid: str, proc: Path = PROC) -> int:
    """What a process keeps from others: its pages in memory but those of files, in bytes."""
    fields = _fields(proc / pid / "status")
    return 1024 * (fields.get("RssAnon:", 0) + fields.get("RssShmem:", 0))


def asked_bytes() -> int | None:
    """`LATHE_MEMORY` in bytes; None where it is not set or not a size."""
    return size_of(os.environ.get(VARIABLE, ""))


def size_of(text: str) -> int | None:
    """The bytes of a size as people write it: 1048576, 800M, 6G, 6GiB; None if it is none."""
    text = text.strip().upper().removesuffix("B").removesuffix("I")
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
    fields = _fields(group / "memory.stat")
    # Pages of files are given back when asked for; version 1 counts those of inner groups apart.
    cache = sum(fields.get(f"total_{kind}", fields.get(kind, 0)) for kind in FILE_PAGES)
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
