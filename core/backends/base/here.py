"""What is here: every backend with its version, or what it lacks, and the machine around them."""

from __future__ import annotations

import functools
from dataclasses import replace

from core.backends.base import Backend, catalogue, offered
from core.backends.base.profile import Profiled
from core.devices.local import memory
from core.devices.local.device import machine
from core.errors import BackendUnavailable
from core.records import BackendInfo, Described, Host


@functools.cache
def backends() -> tuple[BackendInfo, ...]:
    """Every backend in the order of forms: usable, or what is missing and how to get it."""
    return tuple(_info(name, catalogue()[name]) for name in offered())


@functools.cache
def host() -> Host:
    """This machine, with the versions of the backends that are installed."""
    return machine({info.name: info.version for info in backends() if not info.reason})


def described() -> Described:
    """All that a device is asked of itself."""
    return Described(host(), backends(), memory.share_bytes())


def _info(name: str, backend: Backend) -> BackendInfo:
    facts = backend.facts
    about = BackendInfo(
        name,
        backend.label,
        backend.about,
        backend.precisions,
        accepts=backend.accepts,
        int8_does=facts.int8_does,
        package=facts.package,
        profiles=isinstance(backend, Profiled),
    )
    try:
        return replace(about, version=backend.version(), device=backend.device())
    except BackendUnavailable as error:
        return replace(about, reason=error.message, remedy=error.remedy or backend.remedy)
