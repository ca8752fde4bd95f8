"""What every device promises before anything runs there: asked of the whole catalogue."""

from __future__ import annotations

import importlib
import inspect

import pytest

from core.devices.base import Device, catalogue
from core.records.targets import LOCAL


@pytest.mark.parametrize("name", catalogue())
def test_every_device_keeps_its_promises(name: str):
    device = catalogue()[name]
    assert isinstance(device, Device)
    assert device.label
    assert device.about.endswith(".")
    assert (importlib.import_module(f"core.devices.{name}").__doc__ or "").strip()
    assert inspect.getdoc(type(device)) != inspect.getdoc(Device)


@pytest.mark.parametrize("name", catalogue())
def test_its_facts_are_of_its_kind_and_stay(name: str):
    facts = catalogue()[name].facts()
    assert facts.kind == name
    assert facts.facts
    assert facts.id == catalogue()[name].facts().id


def test_this_machine_is_a_device():
    assert LOCAL in catalogue()
    assert len({one.label for one in catalogue().values()}) == len(catalogue())
