"""Targets: the device, the backend with its version, and the options that a number comes from.

Two times are comparable where the device's facts and the version of this one backend are equal:
installing another runtime changes nothing about them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.records.codec import to_json

LOCAL = "local"
DEFAULT_PRECISION = "f32"


@dataclass(frozen=True, slots=True)
class Device:
    """Where something ran.

    Attributes:
        id: a short name that follows from kind and facts.
        kind: folder of `core.devices`.
        facts: what decides its times, in words.
        clock: that times on it are read from.
    """

    id: str
    kind: str
    facts: Mapping[str, str]
    clock: str = "perf_counter"

    @classmethod
    def of(cls, kind: str, facts: Mapping[str, str]) -> Device:
        """The device of this kind with these facts."""
        text = json.dumps(dict(facts), sort_keys=True)
        return cls(f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}", kind, facts)


@dataclass(frozen=True, slots=True)
class Target:
    """What a number comes from.

    Attributes:
        device: id of the Device.
        backend: identifier.
        version: of the backend on that device; empty where it is not there.
        precision: that it computes in.
        threads: as asked for; 0 is all cores.
        format: of the file that it was given, where another than its first was asked for.
    """

    device: str
    backend: str
    version: str
    precision: str = DEFAULT_PRECISION
    threads: int = 0
    format: str = ""

    @property
    def spec(self) -> str:
        """The backend as it is asked for: `name`, `name:precision`, each with `@format`."""
        plain = self.precision == DEFAULT_PRECISION
        name = self.backend if plain else f"{self.backend}:{self.precision}"
        return f"{name}@{self.format}" if self.format else name

    def compares(self, other: Target) -> bool:
        """Whether times of both are comparable, but for precision and threads."""
        mine, its = ((t.device, t.backend, t.version) for t in (self, other))
        return mine == its


@dataclass(frozen=True, slots=True)
class Host:
    """A machine with the versions of all that is installed there."""

    cpu: str
    isa_flags: tuple[str, ...]
    cores: int
    os: str
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A short name of the machine with all versions: version 0.1.0 kept numbers under it."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def device(self) -> Device:
        """The machine alone, without its runtimes."""
        facts = {
            "cpu": self.cpu,
            "isa_flags": ", ".join(self.isa_flags),
            "cores": str(self.cores),
            "os": self.os,
            "python": self.versions.get("python", ""),
        }
        return Device.of(LOCAL, facts)

    def target(self, spec: str, threads: int = 0) -> Target:
        """A backend on this machine, asked for as `name`, `name:precision`, with `@format`."""
        name = backend_of(spec)
        asked, _, form = spec.partition("@")
        precision = asked.partition(":")[2] or DEFAULT_PRECISION
        version = self.versions.get(name, "")
        return Target(self.device.id, name, version, precision, threads, form)


def backend_of(spec: str) -> str:
    """The identifier of the backend in `name:precision@format`."""
    return re.split("[:@]", spec, maxsplit=1)[0]
