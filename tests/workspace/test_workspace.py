"""The use cases on a small net: what a run is asked, what it keeps, what is not done twice."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.devices.local import lock
from core.errors import StoreError
from core.pipeline.client import Workshop
from core.records import ExperimentSpec, Outcome, Preview, Recipe, RunProgress, State, Step
from core.runs import samples
from core.runs.preview_cache import Previews
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER = "ann"
HALVED = Recipe("halved", (Step("convert_precision"),))
CLEANED = Recipe("cleaned", (Step("simplify"),))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a lock of our own
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


def images(count: int = 12) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, images=pixels, labels=np.arange(count) % 6)
    return file.getvalue()


def test_the_samples_lie_under_the_digests_that_their_table_names(workspace: Workspace):
    for sample in workspace.models.samples():
        assert workspace.models.sample(sample.name).digest == sample.digest
    calibration, evaluation = workspace.data.samples()
    assert calibration.digest == samples.data_digest(samples.CALIBRATION)
    assert (calibration.labelled, evaluation.labelled) == (False, True)


def test_a_run_has_the_original_in_front_and_numbers_for_all(workspace: Workspace):
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    data = workspace.data.add("set.npz", images(), OWNER)
    spec = ExperimentSpec(
        "t", model.digest, (CLEANED,), ("null",), calibration=data.digest, evaluation=data.digest,
        latency_budget_s=0.2,
    )  # fmt: skip
    run = workspace.runs.measure(spec, OWNER)
    assert run.progress.state is State.DONE
    assert [recipe.steps for recipe in run.spec.recipes] == [(), CLEANED.steps]
    assert {row.metric for row in run.measurements} >= {"size_bytes", "latency_ms", "load_ms"}
    scored = [row for row in run.measurements if row.metric == "top1"]
    assert scored
    # One set for both: it is split, so the score is on neither the whole set nor six other images.
    assert {row.condition.get("data") for row in scored} != {data.digest}
    assert workspace.runs.of(OWNER)[0].id == run.id
    assert workspace.runs.of("somebody else") == ()


def test_the_size_of_the_original_is_that_of_the_file_that_the_user_has(workspace: Workspace):
    proto = onnx.ModelProto.FromString(graphs.serialize(net(8)))
    # Our copy leaves out what can be inferred again.
    content = onnx.shape_inference.infer_shapes(proto).SerializeToString()
    model = workspace.models.add("small.onnx", content, OWNER)
    assert model.size_bytes == len(content) > model.path.stat().st_size
    fixed = workspace.models.freeze(model.digest, {"N": 1}, OWNER)
    assert fixed.size_bytes == len(content)
    spec = ExperimentSpec("t", fixed.digest, (CLEANED,), ("null",), latency_budget_s=0.2)
    run = workspace.runs.measure(spec, OWNER)
    sizes = {row.candidate: row.value for row in run.measurements if row.metric == "size_bytes"}
    assert sizes[fixed.digest] == len(content)
    made = run.outcomes[1].candidate
    assert made.digest == fixed.digest or sizes[made.digest] == made.path.stat().st_size


def test_the_original_is_timed_on_every_backend_before_anything_is_built(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    backends, threads = ("onnxruntime", "opencv"), (1,)
    spec = ExperimentSpec(
        "t", model.digest, (HALVED,), backends, threads=threads, latency_budget_s=0.2
    )
    build, known, told = Workshop.build, [], []

    def spy(shop: Workshop, path: Path, recipe: Recipe, *rest: object, **more: object) -> Outcome:
        if recipe.steps:
            known.extend(workspace.runs.of(OWNER)[0].measurements)
        return build(shop, path, recipe, *rest, **more)

    monkeypatch.setattr(Workshop, "build", spy)
    run = workspace.runs.measure(spec, OWNER, lambda progress: told.append(progress.current))
    timed = {
        (row.backend, row.condition["threads"])
        for row in known
        if row.metric == "latency_ms" and row.candidate == model.digest and row.value
    }
    assert timed == {(backend, str(count)) for backend in backends for count in threads}
    assert {row.backend for row in known if row.metric == "load_ms"} == set(backends)
    assert any(row.metric == "size_bytes" for row in known)
    assert not [row for row in known if row.metric == "latency_ratio"]  # of it with itself
    # Beside the candidate it is timed again: only these two numbers belong together.
    made = run.outcomes[1].candidate.digest
    again = [row for row in run.measurements if row.condition.get("beside") == made]
    assert {(row.backend, row.condition["threads"]) for row in again} == timed
    # And who watches the words alone reads it before the candidate is made.
    said = [words for words in told if " ms" in words]
    assert said[0].startswith("Latency of the original on ")
    assert told.index(said[-1]) < told.index("Making the model")


def test_a_run_that_waits_for_the_machine_says_for_what(workspace: Workspace):
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    spec = ExperimentSpec("t", model.digest, (), ("null",), latency_budget_s=0.2, dims={"N": 1})
    heard, seen = threading.Event(), list[str]()

    def watch(progress: RunProgress) -> None:
        seen.append(progress.current)
        if "waiting for the machine" in progress.current:
            heard.set()

    worker = threading.Thread(target=lambda: workspace.runs.measure(spec, OWNER, watch))
    with lock.alone():
        worker.start()
        assert heard.wait(60), seen
    worker.join(60)
    assert workspace.runs.lines(OWNER)[0].progress.state is State.DONE


def test_what_a_recipe_made_before_is_not_made_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    spec = ExperimentSpec("t", model.digest, (CLEANED,), ("null",), latency_budget_s=0.2)
    first = workspace.runs.measure(spec, OWNER)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(Workshop, "build", fail)
    again = workspace.runs.measure(spec, OWNER)
    digests = [[o.candidate.digest for o in run.outcomes] for run in (first, again)]
    assert digests[0] == digests[1]


def test_only_its_owner_deletes_a_run(workspace: Workspace):
    model = workspace.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
    spec = ExperimentSpec("t", model.digest, (CLEANED,), ("null",), latency_budget_s=0.2)
    run = workspace.runs.measure(spec, OWNER)
    with pytest.raises(StoreError, match="Only who started"):
        workspace.runs.delete(run.id, "bob")
    workspace.runs.delete(run.id, OWNER)
    with pytest.raises(StoreError, match="no such run"):
        workspace.runs.get(run.id)


def test_previews_are_computed_once_and_errors_are_kept_too():
    asked: list[str] = []

    def compute(model: str, recipe: Recipe) -> Preview:
        asked.append(recipe.name)
        if recipe.name == "bad":
            raise StoreError("gone")
        return Preview(1, 2, 3, 4)

    previews = Previews(compute)
    bad = Recipe("bad", (Step("simplify"),))
    for _ in range(2):
        assert previews.get("m", Recipe("good")).macs == 2
        with pytest.raises(StoreError):
            previews.get("m", bad)
    assert asked == ["good", "bad"]


def test_what_passes_vanishes_with_its_files_and_is_held_to_no_quota(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("LATHE_UPLOAD", "10")
    with Workspace.passing() as passing:
        model = passing.models.add("small.onnx", graphs.serialize(net(8)), OWNER)
        data = passing.data.add("set.npz", images(), OWNER)
        made = passing.models.build(model.digest, CLEANED, data.digest)
        assert made.candidate is not None
        assert made.candidate.path.exists()
        assert passing.models.of(OWNER) == (model,)
    assert not model.path.exists()
    assert not made.candidate.path.exists()
