"""`backends`: what is installed, its version, its device; what is missing and how to get it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from core.cli.result import Result, table
from core.records import BackendInfo, to_json
from core.workspace import Workspace


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "backends", help="what is installed, what is missing and how to get it"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """List the backends and this machine."""
    del options
    workspace = Workspace.open()
    backends, host = workspace.runs.backends(), workspace.runs.host()
    machine = f"{host.cpu}, {host.cores} cores, {host.os}; {' '.join(host.isa_flags)}"
    data = {"backends": [to_json(b) for b in backends], "host": to_json(host)}
    return Result(data, f"{machine}\n\n{listed(backends)}")


def listed(backends: Sequence[BackendInfo]) -> str:
    """A table of what is there, and of what it takes to get the rest."""
    rows = (
        (
            b.name,
            b.version or "-",
            b.device or "-",
            ", ".join(b.precisions),
            _state(b.reason, b.remedy),
        )
        for b in backends
    )
    return table(("backend", "version", "device", "precisions", "state"), rows)


def _state(reason: str, remedy: str) -> str:
    return f"{reason} {remedy}".strip() or "ready"
