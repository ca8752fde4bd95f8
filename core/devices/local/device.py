"""Local device: this machine, whose workers are limited child processes that share its disk."""

from __future__ import annotations

import functools
import platform
from contextlib import AbstractContextManager

from core.devices.base import Check
from core.devices.local import facts, lock
from core.devices.local.launch import Child
from core.devices.local.limits import Limits
from core.records import Device, Host

WORKER = "core.worker"


class LocalDevice:
    """This machine."""

    label = "this machine"
    about = "Workers are limited child processes, which share its disk."

    def facts(self) -> Device:
        """Processor, cores, system and Python."""
        return _device()

    def open(self, memory_bytes: int, cpu_s: float) -> Child:
        """A limited child that runs the worker."""
        return Child(WORKER, Limits(memory_bytes=memory_bytes, cpu_s=cpu_s))

    def alone(self, check: Check = lambda: None) -> AbstractContextManager[None]:
        """The measuring lock of this machine, held alone."""
        return lock.alone(check)

    def shared(self, check: Check = lambda: None) -> AbstractContextManager[lock.Share]:
        """The same lock, held together with others."""
        return lock.shared(check)


@functools.cache
def _device() -> Device:
    return machine({}).device


def machine(versions: dict[str, str]) -> Host:
    """This machine with the versions of what is installed on it, Python's beside them."""
    name, flags = facts.processor()
    known = {"python": platform.python_version()} | versions
    return Host(name, flags, facts.cores(), facts.system(), known)
