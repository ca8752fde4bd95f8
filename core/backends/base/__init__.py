"""What a backend is: a runtime that loads a model file and answers feeds with outputs.

One file (or folder) of this package is one backend and ends in `BACKEND = ...`; the file name is
its identifier. A backend knows no other backend, and imports its vendor's package only inside its
functions: the catalogue stays light, and a worker pays for the one runtime that it times.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from core.catalogue import discover
from core.errors import BackendUnavailable
from core.records import BackendFacts, RunOptions

Tensors = dict[str, np.ndarray[Any, Any]]


class Session(Protocol):
    """A loaded model, ready to run.

    Attributes:
        settings: what decides its times, in words, read back from the runtime where it tells.
    """

    settings: Mapping[str, str]

    @property
    def precision(self) -> str:
        """The arithmetic that the runtime uses by its own account ("f32", "bf16", ...).

        Raises:
            BackendUnavailable: it took the options, and does not do here what they ask for.
        """
        ...

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: the runtime rejected the feeds or failed while running.
        """
        ...

    def close(self) -> None:
        """Free the runtime's memory."""
        ...


class Backend(Protocol):
    """A runtime. All attributes are plain data that a page can show."""

    label: str  # what a person calls it: "ONNX Runtime"
    precisions: tuple[str, ...]  # what RunOptions.precision may be; the first is the default
    remedy: str  # the command that installs it
    about: str  # one line: where it runs, what it is good for
    arithmetic: str  # what it computes in and under which condition, for the README
    accepts: tuple[str, ...]  # file formats that `load` takes; the first is the default

    @property
    def facts(self) -> BackendFacts:
        """What it states of itself here, without being loaded."""
        ...

    def version(self) -> str:
        """The installed version, without importing the runtime where that is possible.

        Raises:
            BackendUnavailable: not installed, or no device; with the remedy.
        """
        ...

    def device(self) -> str:
        """What it computes on here ("CPU"), for the backends page."""
        ...

    def load(self, artifact: Path, options: RunOptions) -> Session:
        """A session with the threads and precision asked for, both read back where possible.

        Raises:
            BackendUnavailable, InferenceFailed
        """
        ...


@runtime_checkable
class SelfTimed(Protocol):
    """A session that takes its own times: of the runtime's work, without the call from Python.

    That is what the runtimes' own tools report (benchmark_app, onnxruntime_perf_test, trtexec) and
    what a program in C++ gets; a call from Python adds 20 to 70 microseconds. It is also the only
    way where the clock is elsewhere (a phone, a browser).
    """

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        """Nanoseconds of each run on `feeds`, which stay bound as long as they are the same."""
        ...


@runtime_checkable
class Spinning(Protocol):
    """A session whose threads may go on burning a core for a while after a call."""

    spins: bool


def spins(session: object) -> bool:
    """Whether a session's threads burn a core after a call."""
    return isinstance(session, Spinning) and session.spins


@functools.cache
def catalogue() -> Mapping[str, Backend]:
    """Every backend by its identifier."""
    found: dict[str, Backend] = discover("core.backends", "BACKEND")
    return found


def label(spec: str) -> str:
    """What a person calls `name:precision@format`; a backend that is gone keeps its identifier."""
    asked, _, file_format = spec.partition("@")
    name, _, precision = asked.partition(":")
    known = catalogue().get(name)
    title = known.label if known is not None else name
    title = f"{title} {words(precision)}" if precision else title
    return f"{title} ({file_format})" if file_format else title


def words(precision: str) -> str:
    """An arithmetic as a person reads it: "dynamic_int8" is one word only where it must be."""
    return precision.replace("_", " ")


def parse(spec: str) -> tuple[str, str]:
    """Split "openvino:bf16" into identifier and precision; without one, the backend's default.

    A format behind it ("openvino@openvino_ir") is left out, see `reads`.

    Raises:
        BackendUnavailable: no backend of that name, or it has no such precision.
    """
    name, _, precision = spec.partition("@")[0].partition(":")
    backend = catalogue().get(name)
    if backend is None:
        raise BackendUnavailable(
            f"There is no backend named {name!r}; known: {', '.join(catalogue())}."
        )
    if precision and precision not in backend.precisions:
        known = ", ".join(backend.precisions)
        raise BackendUnavailable(f"{name} has no precision {precision!r}; it has: {known}.")
    return name, precision or backend.precisions[0]


def reads(spec: str) -> str:
    """The file format that a backend is given: the one behind "@", else its default.

    Raises:
        BackendUnavailable: it does not read that format.
    """
    name, _ = parse(spec)
    asked, known = spec.partition("@")[2], catalogue()[name].accepts
    if asked and asked.partition(".")[0] not in known:
        raise BackendUnavailable(f"{name} does not read {asked!r}; it reads: {', '.join(known)}.")
    return asked or known[0]


@functools.cache
def reference() -> str:
    """The backend that every other one's output is compared with."""
    (name,) = (name for name, one in catalogue().items() if one.facts.reference)
    return name


def offered() -> tuple[str, ...]:
    """The backends that users choose from, in their order."""
    known = ((one.facts, name) for name, one in catalogue().items())
    return tuple(name for _, name in sorted((f.place, n) for f, n in known if not f.internal))


def opening() -> tuple[str, ...]:
    """Those of them that a form has chosen before anyone has."""
    return tuple(name for name in offered() if catalogue()[name].facts.opening)


def installed(distribution: str, remedy: str) -> str:
    """The version of an installed distribution, without importing it.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise BackendUnavailable(f"{distribution} is not installed.", remedy) from None


def cores(threads: int) -> int:
    """A thread count, with 0 standing for every core that this process may use."""
    if threads:
        return threads
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1
