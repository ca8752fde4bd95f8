"""Targets of this machine: which backends a run can name, and what the others lack."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import Backend, catalogue
from core.errors import BackendUnavailable
from core.records import BackendInfo


def backends() -> tuple[BackendInfo, ...]:
    """Every backend: usable, or what is missing and how to get it."""
    return tuple(
        _info(name, backend) for name, backend in catalogue().items() if not backend.facts.internal
    )


def _info(name: str, backend: Backend) -> BackendInfo:
    about = BackendInfo(
        name, backend.label, backend.about, backend.precisions, accepts=backend.accepts
    )
    try:
        return replace(about, version=backend.version(), device=backend.device())
    except BackendUnavailable as error:
        return replace(about, reason=error.message, remedy=error.remedy or backend.remedy)
