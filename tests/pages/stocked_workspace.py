"""The Workspace in memory with finished runs in it, and a file for every candidate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import StoreError
from core.records import ModelSummary, Note, Run, RunProgress, State
from tests.charts import builders
from tests.pages.fake_workspace import FakeModels, FakeRuns, FakeWorkspace


def runs() -> list[Run]:
    """A sweep, an earlier one of the same model, one without labels, one that still runs."""
    return [
        builders.run(id="sweep"),
        replace(builders.hostile(), id="hostile", created="2026-01-01T00:00:00"),
        replace(builders.without_labels(), id="unlabelled", created="2025-12-31T00:00:00"),
        replace(
            builders.run(id="live", created="2025-12-30T00:00:00"),
            measurements=builders.measurements()[:18],
            progress=RunProgress(State.RUNNING, 3, 10, "latency on OpenVINO", 40.0),
        ),
    ]


class StockedModels(FakeModels):
    """Summaries with layers and advice."""

    def sample(self, name: str) -> ModelSummary:
        made = builders.summary(super().sample(name).digest, name=name)
        advice = (
            Note.of("advice.heavy_first", layer="conv1 <script>", share=38.4),
            Note.of("advice.told", title="No <script>", text="No <script> either.", figure=""),
        )
        return replace(made, advice=advice)


class StockedRuns(FakeRuns):
    """A file for every candidate."""

    def candidate_file(self, run_id: str, digest: str) -> Path:
        path = self.at.folder / f"{digest}.onnx"
        if digest not in {o.candidate.digest for o in self.get(run_id).outcomes if o.candidate}:
            raise StoreError(f"Run {run_id} made no {digest}.")
        path.write_bytes(b"a model")
        return path


@dataclass
class StockedWorkspace(FakeWorkspace):
    """`folder` is where the candidates' files are."""

    folder: Path = Path()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.models, self.runs = StockedModels(self), StockedRuns(self)
        for run in runs():
            self.known[run.id] = run
