"""Work on many rows, shared out to the cores.

Each core takes every so many'th item, always the same ones, so that sums come out alike in every
run. Products inside take one thread (`blas`). Work that is itself a share is not shared out again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from core.reconstruction import blas

T = TypeVar("T")
Item = TypeVar("Item")

_here = threading.local()  # .busy: this thread works on a share


@cache
def count() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def shared(
    work: Callable[[Sequence[Item]], T], items: Sequence[Item], most: int | None = None
) -> list[T]:
    """What `work` makes of each share of the items; one share for each core that has one.

    Args:
        work: on some of the items.
        items: all of them.
        most: shares at the same time, where memory holds no more of them.
    """
    workers = count() if most is None else max(1, min(count(), most))
    shares = [items[start::workers] for start in range(min(workers, len(items)))]
    if len(shares) < 2 or getattr(_here, "busy", False):
        return [work(items)] if items else []
    with blas.threads(1):
        waiting = [_pool().submit(_busy, work, share) for share in shares]
        return [future.result() for future in waiting]


def each(work: Callable[[Item], T], items: Sequence[Item], most: int | None = None) -> list[T]:
    """What `work` makes of each item, in order; of so many at the same time, at most."""
    shares = shared(lambda share: [work(item) for item in share], items, most)
    found: list[T | None] = [None] * len(items)
    for start, share in enumerate(shares):
        found[start :: len(shares)] = share
    return found  # type: ignore[return-value]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count())


def _busy(work: Callable[[Sequence[Item]], T], share: Sequence[Item]) -> T:
    _here.busy = True
    return work(share)
