"""BLAS threads: how many a product of matrices takes.

OpenBLAS shares one product among all cores. Its threads wait for each other by spinning: where
another process holds a core, a product of milliseconds may take a tenth of a second, all of it
spent. Many rows are better shared out by ourselves (`parallel`), each product on one thread. Only
the OpenBLAS that comes with NumPy is known here; another library is left as it is.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

NAMES = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Products take this many threads inside, and then as many as before."""
    get, put = _calls()
    before = get()
    put(count)
    try:
        yield
    finally:
        put(before)


def count() -> int:
    """Threads that a product takes now; 1 where the library is not known."""
    return _calls()[0]()


@cache
def _calls() -> tuple[Callable[[], int], Callable[[int], None]]:
    """What asks for the number of threads, and what sets it."""
    root = Path(np.__file__).parent
    folders = (root.with_name("numpy.libs"), root / ".libs", root / ".dylibs")
    for path in (path for folder in folders for path in sorted(folder.glob("*openblas*"))):
        library = ctypes.CDLL(str(path))  # which is loaded already
        for name in NAMES:
            get = getattr(library, name.format("get_num_threads"), None)
            put = getattr(library, name.format("set_num_threads"), None)
            if get is not None and put is not None:
                put.argtypes, put.restype = [ctypes.c_int], None
                return get, put
    return (lambda: 1), (lambda count: None)
