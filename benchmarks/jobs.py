"""The commands of `benchmarks.real_size`: what is run on which net, and what became of it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from benchmarks import control_group, process_tree
from core import graph as graphs
from core.data import default_preprocess, open_set, read_preprocess

ROOT = Path(__file__).parents[1]
RACE_REST_S = 600.0  # to load the files and to run the images that the error is taken on
OPTIMIZE: Mapping[str, tuple[str, ...]] = {
    "fold": ("--fold-bn",),
    "int8": ("--quantize", "int8"),
    "int8-fastest": ("--quantize", "int8-fastest"),
    "prune": ("--prune", "0.3"),
    "replace": ("--replace", "spatial-svd:2.0"),
    "fp16": ("--fp16",),
}
NEED_IMAGES = ("int8", "int8-fastest", "prune", "replace")
OTHERS = ("stock", "nncf")  # quantizers of others
PLAIN = ("inspect", "measure")  # commands that write no model
JOBS = (*OPTIMIZE, *OTHERS, *PLAIN)


@dataclass(frozen=True)
class Subject:
    """A net to work on.

    Attributes:
        preprocess: a file that describes it, where the net does not carry its own.
        sizes: of its dynamic dimensions, where they must be given.
    """

    name: str
    path: Path
    images: Path
    preprocess: Path | None
    sizes: Mapping[str, int]

    def options(self) -> list[str]:
        """How a command of Lathe is told of this net."""
        told = [f"--freeze={name}={size}" for name, size in self.sizes.items()]
        return told + ([f"--preprocess={self.preprocess}"] if self.preprocess else [])


@dataclass(frozen=True)
class Terms:
    """How the jobs run.

    Attributes:
        scratch: folder for everything that is made.
        nncf_python: the Python of an environment with NNCF; None leaves NNCF out.
        group_bytes: bound of the control group that each job runs in; 0 for none.
        lathe_memory: value of LATHE_MEMORY; empty for none.
    """

    scratch: Path
    timeout_s: float
    nncf_python: Path | None = None
    group_bytes: int = 0
    lathe_memory: str = ""


@dataclass(frozen=True)
class Made:
    """What became of one job.

    Attributes:
        model: the file that was written; None for none.
        said: why it failed, or what was reverted.
        kills: processes that the kernel ended for lack of memory in the control group.
    """

    job: str
    usage: process_tree.Usage
    model: Path | None
    said: str
    kills: int = 0


@dataclass(frozen=True)
class Ready:
    """A net and images for programs that know neither open shapes nor preprocessing.

    Attributes:
        model: the net with its sizes.
        feeds: inputs (count, ...), one array.
        unseen: the first of them mirrored, so that no job has seen them.
    """

    model: Path
    feeds: Path
    unseen: Path


def prepare(subject: Subject, folder: Path, unseen: int) -> Ready:
    """Write the net with its sizes and its images as arrays; `unseen` of them mirrored too."""
    model, graph = subject.path, graphs.load(subject.path)
    if subject.sizes:
        graphs.freeze(graph, dict(subject.sizes))
        model = folder / "frozen.onnx"
        ir.save(graph, model)
    specs = graphs.input_specs(graph)
    preprocess = graphs.preprocess(graph) or default_preprocess(specs)
    if subject.preprocess:
        preprocess = read_preprocess(json.loads(subject.preprocess.read_text(encoding="utf-8")))
    opened = open_set(subject.images)
    found = (next(iter(b.values()))[0] for b in opened.feeds(specs, preprocess, 1))
    first = next(found)
    ready = Ready(model, folder / "feeds.npy", folder / "unseen.npy")
    rows = np.lib.format.open_memmap(ready.feeds, "w+", first.dtype, (opened.count, *first.shape))
    for index, row in enumerate(itertools.chain([first], found)):
        rows[index] = row
    width = -1 if preprocess.layout == "NCHW" else -2
    np.save(ready.unseen, np.ascontiguousarray(np.flip(rows[:unseen], width)))
    return ready


def perform(subject: Subject, job: str, folder: Path, terms: Terms) -> Made:
    """Run one job and look at what it wrote and said."""
    out = folder / f"{job}.onnx"
    command = _command(subject, job, folder, out, terms)
    told = {"LATHE_HOME": str(terms.scratch / "home")}
    if terms.lathe_memory:
        told["LATHE_MEMORY"] = terms.lathe_memory
    shutil.rmtree(terms.scratch / "home", ignore_errors=True)  # nothing is remembered of before
    log = folder / job
    environment = {**os.environ, **told}
    if not terms.group_bytes:
        usage, kills = process_tree.run(command, log, terms.timeout_s, environment, ROOT), 0
    else:
        with control_group.bounded(terms.group_bytes) as group:
            inside = group.command(command)
            usage = process_tree.run(inside, log, terms.timeout_s, environment, ROOT)
            kills = group.kills()
    return Made(job, usage, out if out.exists() else None, _said(log, usage), kills)


def group_refused(size: int) -> str:
    """Why no control group of this size can be made here; empty where one can."""
    with control_group.bounded(size) as group:
        return group.reason


def race(original: Path, made: list[Path], feeds: Path, budget_s: float) -> Mapping[str, Any]:
    """Times and errors by file name, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.race", str(feeds), str(original), *map(str, made)]
    command += ["--budget-s", str(budget_s)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=budget_s + RACE_REST_S
        )
    except subprocess.TimeoutExpired:
        return {p.name: {"reason": "its times took too long"} for p in made}
    if done.returncode:
        return {p.name: {"reason": _last(done.stderr)} for p in made}
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _command(subject: Subject, job: str, folder: Path, out: Path, terms: Terms) -> list[str]:
    lathe = [sys.executable, "-m", "core"]
    if job == "inspect":
        return [*lathe, "inspect", str(subject.path), *subject.options()]
    if job == "measure":
        written = [str(p) for p in (folder / f"{one}.onnx" for one in OPTIMIZE) if p.exists()]
        files = [str(subject.path), *written]
        return [*lathe, "measure", *files, "--budget-s", "3", *subject.options()]
    if job in OTHERS:
        python = str(terms.nncf_python) if job == "nncf" else sys.executable
        model, feeds = folder / "frozen.onnx", folder / "feeds.npy"
        model = model if model.exists() else subject.path
        script = str(ROOT / "benchmarks" / "quantizers.py")
        return [python, script, job, str(model), str(feeds), str(out)]
    images = ["--calibration", str(subject.images)] if job in NEED_IMAGES else []
    wanted = [*OPTIMIZE[job], *images, *subject.options(), "--json"]
    return [*lathe, "optimize", str(subject.path), "-o", str(out), *wanted]


def _said(log: Path, usage: process_tree.Usage) -> str:
    """Steps that were reverted, or the last words of a failure."""
    out = log.with_suffix(".out").read_text(errors="replace")
    if usage.status:
        return _last(log.with_suffix(".err").read_text(errors="replace"))
    if usage.status is None:
        return "stopped for its time; last said: " + _last(
            log.with_suffix(".err").read_text(errors="replace")
        )
    try:
        steps = json.loads(out).get("steps", [])
    except (ValueError, AttributeError):
        return ""
    return "; ".join(f"reverted: {one['reverted']}" for one in steps if one["reverted"])


def _last(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
