"""`devices`: where models can be measured, and which backends are there."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli.backends import listed
from core.cli.result import Result
from core.records import DeviceInfo, to_json
from core.workspace import Workspace


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "devices", help="where models can be measured, and which backends are there"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Ask every device."""
    del options
    found = Workspace.open().runs.devices()
    return Result({"devices": to_json(found)}, "\n\n".join(map(_text, found)))


def _text(device: DeviceInfo) -> str:
    head = f"{device.name}: {device.label}. {device.about}"
    if device.described is None:
        return f"{head}\ndoes not answer: {device.reason}"
    host, free = device.described.host, device.described.memory_bytes
    sets = ", ".join(host.isa_flags) or "none that matter here"
    return (
        f"{head}\n{host.cpu}, {host.cores} cores, {host.os}\ninstruction sets: {sets}\n"
        f"memory free for a model: {free / 2**30:.1f} GiB\n\n{listed(device.described.backends)}"
    )
