"""Exact rewrites of operators that some runtimes lack into operators that all of them have.

Each rewrite is a module of this folder, found by its file name; the import doctor
(`core.runs.doctor`) tries which of them a target needs. None changes what the model computes but
for rounding: the runner holds the pass to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.calibration.services import Services
from core.errors import PassPrecondition
from core.graph import infer_shapes
from core.passes.adapt.base import rewrites
from core.passes.base import Graph, Pass, Report, lift_constants, parameter
from core.records import Note


@dataclass(frozen=True)
class Adapt(Pass):
    """Apply the named rewrites, one after the other."""

    label: ClassVar[str] = "Adapt to runtimes"
    help: ClassVar[str] = (
        "Writes operators that some runtimes lack as ones that all have: same outputs. No gain in "
        "time where a runtime has the operator; see which one needs it on the Model screen."
    )
    gives: ClassVar[str] = "operators that some runtimes lack, written as ones that all have"
    limits: ClassVar[str] = "runtimes that take the model as it is; it may cost time there"
    order: ClassVar[int] = 6
    exact: ClassVar[bool] = True

    rewrites: tuple[str, ...] = parameter(
        tuple(rewrites()),
        "Rewrites",
        "Which ones are applied.",
        choices=tuple(rewrites()),
        names={name: one.label for name, one in rewrites().items()},
    )

    def requires(self, graph: Graph) -> None:
        """Something must be chosen."""
        if not self.rewrites:
            raise PassPrecondition("No rewrite is chosen.")

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Rewrite, and count what was rewritten by each."""
        lift_constants(graph)
        for name, rewrite in rewrites().items():
            if name in self.rewrites:
                infer_shapes(graph)
                if changed := rewrite.apply(graph):
                    report.changed += changed
                    report.note(Note.of("adapt.rewritten", rewrite=rewrite.label, nodes=changed))
        if not report.changed:
            report.note(Note.of("adapt.none"))


PASS = Adapt
