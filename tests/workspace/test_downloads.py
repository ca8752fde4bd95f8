"""What is taken along of a measured run: a package, exactly as it comes from the workspace."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.errors import BackendUnavailable, InferenceFailed, StoreError
from core.package.base.texts import offered, texts
from core.records import ExperimentSpec, Preprocess, Recipe, Run, Step
from core.runs import package_file
from core.workspace import Workspace
from core.workspace.downloads import Downloads
from tests.measure import subjects
from tests.package import shipped

OWNER = "ann"
BACKENDS = (
    "onnxruntime", "openvino@openvino_ir", "opencv", "opencv_classic", "ncnn", "litert@tflite.fp16"
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a lock of our own
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


def measured(workspace: Workspace, *backends: str) -> Run:
    content = graphs.serialize(subjects.net(8))
    model = workspace.models.add("small.onnx", content, OWNER)
    how = Preprocess(color="bgr", mean=(0.5,), std=(0.25,))
    model = workspace.models.set_preprocess(model.digest, how, OWNER)
    cleaned = Recipe("cleaned", (Step("simplify"),))
    spec = ExperimentSpec("t", model.digest, (cleaned,), backends, latency_budget_s=0.2)
    return workspace.runs.measure(spec, OWNER)


def package(workspace: Workspace, run: Run, spec: str) -> Path:
    digest = run.outcomes[-1].candidate.digest
    return workspace.runs.package(run.id, digest, spec, texts(run, digest, spec))


@pytest.mark.backend
def test_every_package_of_a_measured_run_answers_as_the_reference(
    workspace: Workspace, tmp_path: Path
):
    run = measured(workspace, *BACKENDS)
    assert offered(run, run.outcomes[-1].candidate.digest) == BACKENDS
    image = shipped.picture(tmp_path)
    scores = shipped.expected(run, image)[0][0]
    for number, spec in enumerate(BACKENDS):
        folder = shipped.opened(package(workspace, run, spec), tmp_path / str(number))
        said = [line.split("  ") for line in shipped.answer(folder, image)]
        assert said[0][1] == f"class {scores.argmax()}"
        given = {int(name.removeprefix("class ")): float(score) for score, name in said}
        np.testing.assert_allclose(
            [*given.values()], scores[[*given]], rtol=5e-3, atol=1e-3, err_msg=spec
        )
        page = (folder / "README.md").read_text()
        assert "not measured" not in page.split("Latency")[1].splitlines()[0]
        assert (
            run.host.versions[spec.partition("@")[0]] in (folder / "requirements.txt").read_text()
        )


@pytest.mark.backend
def test_a_package_is_made_once_and_always_the_same(workspace: Workspace, monkeypatch):
    run = measured(workspace, "onnxruntime")
    first = package(workspace, run, "onnxruntime")
    content, written = first.read_bytes(), []
    monkeypatch.setattr(package_file, "write", lambda *_: written.append(1))
    assert package(workspace, run, "onnxruntime") == first
    assert not written
    monkeypatch.undo()
    first.unlink()
    assert package(workspace, run, "onnxruntime").read_bytes() == content


@pytest.mark.backend
def test_what_is_not_there_is_said(workspace: Workspace):
    run = measured(workspace, "onnxruntime")
    digest = run.outcomes[-1].candidate.digest
    with pytest.raises(StoreError):
        workspace.runs.package("nope", digest, "onnxruntime", {})
    with pytest.raises(StoreError):
        workspace.runs.package(run.id, "9" * 64, "onnxruntime", {})
    with pytest.raises(BackendUnavailable):
        workspace.runs.package(run.id, digest, "onnxruntime@openvino_ir", {})


@pytest.mark.backend
def test_a_model_without_a_run_is_read_by_the_backend_before_it_is_packed(
    workspace: Workspace, monkeypatch
):
    run = measured(workspace, "onnxruntime")
    made = run.outcomes[-1].summary
    packed, check = workspace.runs.pack(made, "openvino@openvino_ir", {"a": "b"})
    assert check == "OpenVINO reads it, and answers as ONNX Runtime on the ONNX file."
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["model.xml", "model.bin", "a", "SHA256SUMS"]

    def wrong(*_: object) -> str:
        raise InferenceFailed("Its output is wrong.")

    monkeypatch.setattr(Downloads, "check", wrong)
    with pytest.raises(InferenceFailed):
        workspace.runs.pack(made, "onnxruntime", {})
