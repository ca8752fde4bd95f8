"""Models with all that a package is made of, unpacked; and what their programs answer."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from core import graph as graphs
from core.backends.base import reads
from core.data import open_set
from core.formats.base.artifacts import Artifacts
from core.graph import Graph
from core.package.base.texts import texts
from core.pipeline.summary import summarise
from core.records import (
    Candidate,
    ExperimentSpec,
    Outcome,
    Preprocess,
    Recipe,
    Run,
    RunProgress,
    State,
)
from core.runs import package_file

LABELS = ("disc", 'a "quoted" one\n\\{x}', "zwölf 🙂", "__import__('os')", "%s {0}", "tee")


def run_of(
    net: Graph,
    folder: Path,
    spec: str,
    preprocess: Preprocess | None = None,
    labels: tuple[str, ...] = (),
    threads: int = 1,
    **dims: int,
) -> Run:
    """A run of one model that measured nothing."""
    path = folder / "net.onnx"
    digest = graphs.save(net, path)
    model = replace(summarise(net, path, digest, "net"), preprocess=preprocess, labels=labels)
    asked = ExperimentSpec("t", digest, (Recipe("original"),), (spec,), (threads,), dims=dims)
    outcome = Outcome(Recipe("original"), Candidate(digest, path, Recipe("original")), model)
    return Run("r", "me", "2026-01-02T03:04:05", asked, RunProgress(State.DONE), model, (outcome,))


def unpacked(run: Run, folder: Path) -> Path:
    """The package of a run's model on its backend, written and unpacked."""
    (spec,), model = run.spec.backends, run.model
    made = Artifacts(folder / "artifacts").of(
        model.digest, model.path, reads(spec), inputs=model.inputs
    )
    names = {"model.onnx": model.path} if reads(spec) == "onnx" else {}
    files = names or {file.name: file for file in made.files}
    packed = folder / "package.zip"
    package_file.write(packed, files, texts(run, model.digest, spec))
    return opened(packed, folder / "unpacked")


def opened(packed: Path, folder: Path) -> Path:
    """A package unpacked into a folder."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder


def answer(folder: Path, given: Path) -> list[str]:
    """What predict.py of a package says, started from elsewhere as a user would."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(folder / "predict.py"), str(given)],
        capture_output=True, text=True, timeout=120, cwd=given.parent, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def picture(folder: Path, height: int = 37, width: int = 53) -> Path:
    """A photograph, or what stands for one."""
    coarse = np.random.default_rng(4).integers(0, 256, (5, 7, 3), np.uint8)
    path = folder / "image.png"
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path


def expected(run: Run, image: Path) -> list[np.ndarray]:
    """What ONNX Runtime says of the image behind our own preprocessing."""
    model = run.model
    (feeds,) = open_set(image).feeds(model.inputs, model.preprocess, 1)
    return onnxruntime.InferenceSession(str(model.path)).run(None, feeds)
