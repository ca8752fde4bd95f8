"""Devices: what a place where models run has to offer, whatever lies between it and Lathe."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.catalogue import discover
from core.errors import DeviceUnavailable
from core.records import Device as Facts
from core.records import Json

Progress = Callable[[Json], None]
Check = Callable[[], None]


class Channel(Protocol):
    """A worker on a device, asked over a private line. One request at a time.

    Attributes:
        alive: whether it still runs.
    """

    @property
    def alive(self) -> bool: ...  # noqa: D102

    def put(self, key: str, folder: Path) -> None:
        """Let the worker find the files of a folder, and write there, under this name.

        Nothing is copied on a device that shares this machine's disk.
        """
        ...

    def request(
        self,
        call: str,
        args: Json,
        progress: Progress | None = None,
        cpu_s: float = 0.0,
        check: Check | None = None,
    ) -> Json:
        """Ask, and wait for the result; after any WorkerError the worker is gone.

        Raises:
            WorkerCrashed, WorkerTimeout, WorkerOutOfMemory: it ended.
            CoreError: whatever it raised.
        """
        ...

    def close(self) -> None:
        """End the worker."""
        ...


@runtime_checkable
class Device(Protocol):
    """A place where models run. One file, or folder, of this package, which ends in `DEVICE`.

    Attributes:
        label: what a person calls it.
        about: one line: what it is, and what it needs.
    """

    label: str
    about: str

    def facts(self) -> Facts:
        """What decides how long they take there."""
        ...

    def open(self, memory_bytes: int, cpu_s: float) -> Channel:
        """Start a worker.

        Args:
            memory_bytes: that it may hold.
            cpu_s: of a request that asks for no time of its own.
        """
        ...

    def alone(self, check: Check) -> AbstractContextManager[None]:
        """Keep all other measurements on this device away; `check` is called while waiting."""
        ...

    def shared(self, check: Check) -> AbstractContextManager[object]:
        """Work on it beside others, but not while somebody is `alone` there."""
        ...


@functools.cache
def catalogue() -> Mapping[str, Device]:
    """Every device by the name of its file, which is the `kind` of its facts."""
    return discover("core.devices", "DEVICE")


def device(name: str) -> Device:
    """The device of this name.

    Raises:
        DeviceUnavailable: there is none; the message names those that there are.
    """
    if name not in catalogue():
        raise DeviceUnavailable(
            f"There is no device {name!r}; there are: {', '.join(sorted(catalogue()))}."
        )
    return catalogue()[name]
