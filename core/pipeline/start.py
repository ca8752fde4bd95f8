"""The child behind a workshop as it is started: in advance, too, while its caller still imports.

Its imports take about as long as those of a command line, so both had better go on at once. Hence
this module itself imports next to nothing.
"""

from __future__ import annotations

from core.devices.local import Child, Limits, memory
from core.devices.local.limits import GIB

MODULE = "core.pipeline"
GATE_BYTES = 2 * GIB  # what reading a file may take, whatever it claims
DEFAULT_CPU_S = 60.0
FILE_BYTES = 64 * GIB  # the weights of a large model are one file


def limits() -> Limits:
    """Of the child, until a request grants it more."""
    return Limits(min(GATE_BYTES, memory.share_bytes()), DEFAULT_CPU_S, FILE_BYTES)


def start() -> Child:
    """A child that answers as soon as its imports are done."""
    return Child(MODULE, limits())
