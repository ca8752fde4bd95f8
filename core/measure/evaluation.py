"""Outputs of a model on a whole set, computed once per (file, backend, set) and cached.

What they are worth says `scoring`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from core.backends.base import catalogue
from core.devices.local import Progress
from core.errors import DataError
from core.measure.verify import FEEDS, Verifier
from core.metrics.base.outputs import Outputs
from core.records import Artifact, ModelSummary, to_json
from core.records.artifacts import ONNX
from core.worker.client import Cancelled, Worker
from core.worker.setting import Setting, Source

FORM = "one row per image, or said to be shared"  # of kept outputs


def evaluate(
    model: ModelSummary,
    setting: Setting,
    source: Source,
    verifier: Verifier,
    caches: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Outputs:
    """Outputs of `model` on every image of `source`, from the cache if they were computed before.

    Raises:
        CoreError: the backend failed, or its output is wrong.
        Cancelled: the user asked to stop.
    """
    if source.data is None:
        raise DataError("There are no images to evaluate on.")
    made = verifier.artifacts.of(model.digest, model.path, setting.reads, inputs=model.inputs)
    folder = caches / "outputs" / _key(model, setting, source, made)
    if not (folder / "done.json").exists():
        _compute(model, setting, source, verifier, folder, progress, cancelled)
    done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    ragged, shared = (frozenset(map(int, done[key])) for key in ("ragged", "shared"))
    return Outputs(model, setting.spec, folder, int(done["images"]), ragged, shared)


def _compute(
    model: ModelSummary,
    setting: Setting,
    source: Source,
    verifier: Verifier,
    folder: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    def check() -> None:
        if cancelled():
            raise Cancelled

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        place = setting.place
        with place.shared(check), Worker(model, cancelled, verifier.artifacts, place) as worker:
            worker.prepare(model, source, FEEDS)
            worker.load("model", model, setting)
            verifier.check(worker, "model", model, setting)
            done = worker.evaluate("model", model, source, scratch, progress)
        (scratch / "done.json").write_text(json.dumps(to_json(done)), encoding="utf-8")
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _key(model: ModelSummary, setting: Setting, source: Source, read: Artifact) -> str:
    facts = [
        model.digest,
        setting.spec,
        setting.options.precision,
        catalogue()[setting.name].version(),
        source.digest or str(source.data),
        to_json(source.preprocess),
        source.images,
        to_json([spec.shape for spec in model.inputs]),  # the size that it is run at
        FORM,
    ]
    if read.format != ONNX:
        facts.append(read.digest)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
