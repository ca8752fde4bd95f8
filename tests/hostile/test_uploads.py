"""Hostile uploads are refused with a reason, the caller lives, and the next upload works."""

import contextlib
import dataclasses
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import CoreError, DataError, ModelError, WorkerError
from core.pipeline.client import Workshop
from tests.hostile import files


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


def admit(shop: Workshop, tmp_path: Path, content: bytes, name: str = "upload.onnx"):
    source = tmp_path / "upload"
    source.write_bytes(content)
    return shop.admit(source, name, tmp_path / "models")


@pytest.mark.parametrize("name", files.MODELS)
def test_a_hostile_model_is_refused(workshop: Workshop, tmp_path: Path, name: str) -> None:
    content, code, words = files.MODELS[name]
    with pytest.raises(ModelError) as caught:
        admit(workshop, tmp_path, content)
    assert caught.value.code == code
    assert words in caught.value.message
    assert not list((tmp_path / "models").glob("*"))
    assert admit(workshop, tmp_path, files.GOOD).nodes == 1


@pytest.mark.parametrize("name", files.DATA)
def test_a_hostile_image_set_is_refused(workshop: Workshop, tmp_path: Path, name: str) -> None:
    content, words = files.DATA[name]
    source = tmp_path / "upload"
    source.write_bytes(content)
    with pytest.raises(DataError, match=words):
        workshop.admit_data(source, name, tmp_path / "data")
    assert not list((tmp_path / "data").glob("*"))


def test_a_pickle_does_not_run(workshop: Workshop, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name in ("model.pt", "model.onnx"):
        with pytest.raises(ModelError, match="pickle"):
            admit(workshop, tmp_path, files.pickled(f"touch {trace}"), name)
    objects = io.BytesIO()
    np.savez(objects, images=np.array([files.Bomb(f"touch {trace}")], object))
    source = tmp_path / "set.npz"
    source.write_bytes(objects.getvalue())
    with pytest.raises(DataError, match="pickles"):
        workshop.admit_data(source, "set.npz", tmp_path / "data")
    assert not trace.exists()


def test_external_data_comes_from_the_upload_only(workshop: Workshop, tmp_path: Path) -> None:
    weights = np.arange(4, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(weights.tobytes())
    (tmp_path / "secret").write_bytes(b"s" * 16)
    (tmp_path / "link.bin").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(ModelError, match="not part of the upload"):
        admit(workshop, tmp_path, files.external("w.bin"))
    packed = files.zipped({"m/a.onnx": files.external("w.bin"), "m/w.bin": weights.tobytes()})
    summary = admit(workshop, tmp_path, packed, "upload.zip")
    assert summary.notes == ("1 tensors of external data were taken into the file.",)
    assert weights.tobytes() in summary.path.read_bytes()
    source = tmp_path / "upload"
    for location in ("link.bin", "pipe.bin", "../secret", ".", "nope.bin"):
        source.write_bytes(files.external(location, length=16))
        with pytest.raises(ModelError):
            workshop.admit(source, "a.onnx", tmp_path / "models", beside=tmp_path)
    assert summary.size_bytes == len(files.external("w.bin")) + len(weights.tobytes())
    source.write_bytes(files.external("w.bin", offset=0, length=16))
    again = workshop.admit(source, "a.onnx", tmp_path / "models", beside=tmp_path)
    own = source.stat().st_size + 16
    assert again == dataclasses.replace(summary, name="a.onnx", size_bytes=own)


@pytest.mark.parametrize(
    "more", [{"offset": 8}, {"offset": 1 << 62}, {"offset": -8}, {"offset": "abc"}, {"length": 8}]
)
def test_external_data_within_its_file(workshop: Workshop, tmp_path: Path, more: dict) -> None:
    packed = {"a.onnx": files.external("w.bin", **{"length": 16, **more}), "w.bin": bytes(16)}
    with pytest.raises(ModelError):
        admit(workshop, tmp_path, files.zipped(packed))


def test_a_death_in_the_workshop_is_an_error_and_the_next_upload_works(
    workshop: Workshop, tmp_path: Path
) -> None:
    """The file may pass the gate; whoever runs it may die of it, but never the caller."""
    from core.records import Recipe, Step

    summary = admit(workshop, tmp_path, files.overflowing_division())
    recipe = Recipe("prune", (Step("prune_weights", {}),))
    outcome = None
    with contextlib.suppress(WorkerError):  # where integer division traps (x86) it dies by SIGFPE
        outcome = workshop.build(summary.path, recipe, None, tmp_path / "models")
    assert outcome is None or outcome.candidate or outcome.reason
    assert admit(workshop, tmp_path, files.GOOD).nodes == 1


def test_the_child_may_be_killed_between_two_calls(workshop: Workshop, tmp_path: Path) -> None:
    import signal

    admit(workshop, tmp_path, files.GOOD)
    child = workshop._child
    os.kill(child.pid, signal.SIGKILL)
    while child.alive:
        time.sleep(0.01)
    assert admit(workshop, tmp_path, files.GOOD).nodes == 1


@pytest.mark.slow
def test_the_shared_corpus(tmp_path: Path) -> None:
    shared = os.environ.get("LATHE_SHARED")
    if not shared:
        pytest.skip("LATHE_SHARED does not say where the shared checks lie")
    import subprocess
    import sys

    corpus = tmp_path / "corpus"
    script = Path(shared) / "checks" / "make_bad.py"
    subprocess.run([sys.executable, script, corpus], check=True, capture_output=True)
    manifest = json.loads((corpus / "manifest.json").read_text())
    must = {"file", "structure", "opset", "tensor", "extdata", "function", "archive", "pickle"}
    must |= {"image", "ncnn", "ovir", "tflite"}
    wrong = []
    with Workshop() as shop:
        for name, about in manifest.items():
            beside = corpus if about["family"] in ("extdata", "valid") else None
            try:
                shop.admit(corpus / about["file"], about["file"], tmp_path / "models", beside)
                refused = ""
            except CoreError as error:
                refused = f"{error.code}: {error.message}"
            expected, family = about["expect"], about["family"]
            is_onnx = about["file"].endswith(".onnx")
            if expected == "valid" and is_onnx and refused:
                wrong.append((name, refused))
            if (
                expected == "reject"
                and family in must
                and not refused.startswith(("InvalidModel", "UnsupportedModel"))
            ):
                wrong.append((name, refused or "admitted"))
    assert wrong == []
