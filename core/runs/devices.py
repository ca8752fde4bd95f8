"""Devices of this installation: what each is, and what runs there; or why it does not answer."""

from __future__ import annotations

from core import measure
from core.devices.base import catalogue
from core.errors import CoreError
from core.records import DeviceInfo


def devices() -> tuple[DeviceInfo, ...]:
    """Every device, asked what it has; this takes as long as the slowest one needs to answer."""
    return tuple(map(_asked, catalogue()))


def _asked(name: str) -> DeviceInfo:
    device = catalogue()[name]
    try:
        return DeviceInfo(name, device.label, device.about, measure.described(name))
    except (CoreError, OSError) as error:
        reason = error.reason if isinstance(error, CoreError) else str(error)
        return DeviceInfo(name, device.label, device.about, None, reason)
