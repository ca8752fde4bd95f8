"""Long work that a page asked for: it says what it does, and ends within a moment when asked to."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from core.records import ExperimentSpec, Json, Recipe, State, Step
from core.runs import queue
from core.workspace import Workspace
from tests.running import busy_s, children, slow_model, until

OWNER = "me"


class StopError(Exception):
    """Somebody clicked."""


@pytest.fixture
def workspace(tmp_path: Path):
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


def test_a_run_whose_build_is_deep_in_native_code_is_cancelled(workspace, tmp_path: Path) -> None:
    model = workspace.models.add("slow.onnx", slow_model(tmp_path), OWNER)
    recipe = Recipe("fp16", (Step("convert_precision"),))
    spec = ExperimentSpec("t", model.digest, (Recipe("original"), recipe), ())
    run_id = workspace.runs.submit(spec, OWNER)
    until(lambda: any(busy_s(pid) > 2 for pid in descendants(workspace, run_id)))
    inner = descendants(workspace, run_id)
    workspace.runs.cancel(run_id, OWNER)
    until(lambda: workspace.runs.get(run_id).progress.state is State.CANCELLED, 20)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in inner), 20)
    assert not list((tmp_path / "home" / "models").glob("*.part"))


def test_reading_images_says_how_far_it_is_and_ends_when_asked_to(workspace) -> None:
    content = io.BytesIO()
    np.savez(content, images=np.zeros((3000, 64, 64, 3), np.uint8))
    heard: list[Json] = []
    done = workspace.data.add("a.npz", content.getvalue(), OWNER, heard.append)
    assert done.count == 3000
    assert heard[1]["total"] == 3000
    assert [m["done"] for m in heard] == sorted(m["done"] for m in heard)

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        workspace.data.add("b.npz", content.getvalue() + b"other", OWNER, None, stop)
    assert workspace.data.of(OWNER) == (done,)
    assert workspace.data.add("a.npz", content.getvalue(), OWNER) == done


def descendants(workspace: Workspace, run_id: str) -> list[int]:
    """The process of the run and all that it started."""
    job = queue.worker(workspace._installation.home, run_id)
    return [] if not job else [job, *children(job)]
