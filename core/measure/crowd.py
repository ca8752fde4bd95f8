"""Were the cores ours while a model was timed? Told by the kernel, not guessed from the times.

Two counts: how long the threads of a call stood in line for a core, which others of this machine
make them do, and what the hypervisor took for other machines. The bounds were set by
`benchmarks/busy.py`, which has the counts of quiet and of loaded machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.backends.base import cores
from core.records import Json
from core.worker.protocol import PairTimes

WAITED = 0.05  # of the time of a call, the mean over its threads
STOLEN = 0.02  # of the time of all cores


@dataclass(frozen=True, slots=True)
class Crowd:
    """What others had of the time, as shares of it."""

    waited: float
    stolen: float

    @classmethod
    def of(cls, replies: Sequence[PairTimes], threads: int, sides: str = "ab") -> Crowd:
        """From what the worker answered to the pairs of sessions, run on so many threads."""
        waited = [{"a": reply.waited_a, "b": reply.waited_b} for reply in replies]
        waits = [shares[side] / cores(threads) for shares in waited for side in sides]
        took_s = sum(reply.took_s for reply in replies) * cores(0)
        stolen_s = sum(reply.stolen_s for reply in replies)
        return cls(sum(waits) / len(waits), stolen_s / took_s if took_s else 0.0)

    @property
    def busy(self) -> bool:
        """Whether times are worth less for it."""
        return self.waited > WAITED or self.stolen > STOLEN

    @property
    def words(self) -> str:
        """What to say beside a verdict; empty where the machine was quiet."""
        said = []
        if self.waited > WAITED:
            said.append(f"calls stood in line for a core for {self.waited:.0%} of their time")
        if self.stolen > STOLEN:
            said.append(f"the host took {self.stolen:.0%} of the cores' time")
        return f"the machine was busy: {' and '.join(said)}" if said else ""

    @property
    def detail(self) -> Json:
        """For a row."""
        return {
            "busy": self.busy,
            "waited_share": self.waited,
            "stolen_share": self.stolen,
            "note": self.words,
        }
