"""This machine as a device: its facts, and who is alone on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.devices.local import device, lock
from core.devices.local.device import LocalDevice
from core.measure import host
from core.records import Device, from_json, to_json


def test_the_facts_are_those_of_the_machine_and_of_no_runtime():
    here = LocalDevice().facts()
    assert here == host().device
    assert replace(host(), versions={**host().versions, "another": "1"}).device == here
    assert replace(host(), cpu="another").device.id != here.id
    assert from_json(Device, to_json(here)) == here


def test_who_is_alone_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "path", lambda: tmp_path / "lock")

    class Waits(Exception):
        pass

    def check() -> None:
        raise Waits

    with LocalDevice().alone(), pytest.raises(Waits), LocalDevice().alone(check):
        pass


def test_a_worker_is_a_limited_child(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(device, "WORKER", "tests.devices.local.naughty")
    channel = LocalDevice().open(1 << 30, 20.0)
    assert channel.alive
    assert (channel.limits.memory_bytes, channel.limits.cpu_s) == (1 << 30, 20.0)
    channel.close()
    assert not channel.alive
