"""Thread pool over the cores: work on many rows, shared out.

A share is every so many'th item, always the same ones, so that sums come out alike in every run.
Work that is itself a share is not shared out again. Products of matrices inside take one thread:
a BLAS that shares one product among all cores has its threads wait for each other by spinning, and
where another process holds a core, a product of milliseconds may take a tenth of a second.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")
Item = TypeVar("Item")

_here = threading.local()  # .busy: this thread works on a share


@cache
def count() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def product_threads(count: int) -> AbstractContextManager[object]:
    """Products of matrices take this many threads inside, and then as many as before."""
    limited: AbstractContextManager[object] = _blas().limit(limits=count)
    return limited


@cache
def _blas() -> ThreadpoolController:
    """The libraries that NumPy multiplies with; to find them takes longer than to set them."""
    return ThreadpoolController().select(user_api="blas")


def shared(
    work: Callable[[Sequence[Item]], T], items: Sequence[Item], most: int | None = None
) -> list[T]:
    """What `work` makes of each share of the items; one share for each core that has one.

    Args:
        work: on some of the items.
        items: all of them.
        most: shares at the same time, where memory holds no more of them.
    """
    workers = _workers(len(items), most)
    if workers < 2:
        return [work(items)] if items else []
    return _together(work, [items[start::workers] for start in range(workers)])


def each(
    work: Callable[[Item], T],
    items: Sequence[Item],
    most: int | None = None,
    size: Callable[[Item], float] | None = None,
) -> list[T]:
    """What `work` makes of each item, in order; a core that is done takes the next.

    Args:
        work: on one of the items.
        items: all of them.
        most: items at the same time, where memory holds no more of them.
        size: of the work on an item; the largest are begun first, so that none is left at the end.
    """
    workers = _workers(len(items), most)
    if workers < 2:
        return [work(item) for item in items]
    found: dict[int, T] = {}
    failed: dict[int, Exception] = {}
    waiting: SimpleQueue[int] = SimpleQueue()
    order = range(len(items))
    for at in order if size is None else sorted(order, key=lambda i: -size(items[i])):
        waiting.put(at)

    def take(_: int) -> None:
        with contextlib.suppress(Empty):
            while not failed:
                at = waiting.get_nowait()
                try:
                    found[at] = work(items[at])
                except Exception as error:  # whatever it is, it is raised below
                    failed[at] = error

    _together(take, range(workers))
    if failed:
        raise failed[min(failed)]
    return [found[at] for at in order]


def _workers(items: int, most: int | None) -> int:
    """Threads that take part; one on a core that works on a share already."""
    if getattr(_here, "busy", False):
        return 1
    return min(count() if most is None else max(1, min(count(), most)), items)


def _together(work: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
    """What `work` makes of each item, all at the same time."""
    with product_threads(1):
        futures = [_pool().submit(_busy, work, item) for item in items]
        return [future.result() for future in futures]


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items; the next is made in a thread of its own while the last is worked on."""
    end, made = object(), iter(items)
    with ThreadPoolExecutor(1) as other:
        item: Any
        waiting = other.submit(next, made, end)
        while (item := waiting.result()) is not end:
            waiting = other.submit(next, made, end)
            yield item


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count())


def _busy(work: Callable[[Item], T], item: Item) -> T:
    _here.busy = True
    return work(item)
