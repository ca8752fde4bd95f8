"""Nets of real size through the passes: time, memory of every process, size, speed; beside others.

    python -m benchmarks.real_size --nets-dir DIR [--nets NAME ...] [--jobs JOB ...]
        [--nncf-python PYTHON] [--memory 2G] [--lathe-memory 2G] [--timeout-s 600] [--json FILE]
    python -m benchmarks.real_size --nets-dir DIR --big

DIR is what `benchmarks.nets DIR --images` and `benchmarks.wheels DIR` wrote. Each job is one
`python -m core optimize` as a user would call it, in a fresh LATHE_HOME; `stock` is
onnxruntime.quantization and `nncf` NNCF, on the same images, ready made as arrays (which is not
counted). `fold` takes NAME_bn.onnx where it is there. Memory is that of the whole tree of processes
(see `process_tree`): the most that all held at one time, and the highest mark of a single one.
Times of the results are taken in turns on ONNX Runtime, one thread, one image, as ratios to the
original; `error` is the relative error of the outputs on mirrored images, which no job saw.

--memory puts each job into a control group of that size (where none can be made it says so, and
sets LATHE_MEMORY instead); --lathe-memory sets the variable by hand. --big builds a net of 1 GB and
runs inspect, fold, fp16 and measure on it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from benchmarks.jobs import (
    JOBS,
    OTHERS,
    PLAIN,
    ROOT,
    Made,
    Ready,
    Subject,
    Terms,
    group_refused,
    perform,
    prepare,
    race,
)
from benchmarks.wheels import WHEELS
from core.errors import CoreError

BIG, BIG_JOBS = "resnet_1gb", ("inspect", "fold", "fp16", "measure")
LARGE_INPUT = 400  # pixels from which the images of 640 x 640 are taken
MB = 1e6
HEADER = (
    "| net | job | exit | wall s | CPU s | all processes MB | largest process MB | size MB "
    "| time | error | said |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Print the table line by line."""
    asked = _options()
    with tempfile.TemporaryDirectory(prefix="real-size-", dir=asked.scratch) as scratch:
        terms = _terms(asked, Path(scratch))
        if asked.big:
            _build_big(asked.nets_dir)
        print(HEADER, flush=True)
        rows = []
        for name in asked.nets:
            rows += _net(name, asked, terms)
            if asked.json:
                asked.json.write_text(json.dumps(rows, indent=1))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nets-dir", type=Path, required=True)
    parser.add_argument(
        "--nets", nargs="*", metavar="NAME", help="default: every net of the folder"
    )
    parser.add_argument("--jobs", nargs="*", choices=JOBS, metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--images", type=Path, help="default: DIR/images256.npz")
    parser.add_argument("--large-images", type=Path, help="for 400 pixels and more")
    parser.add_argument("--freeze", action="append", default=[], metavar="NET:DIM=SIZE")
    parser.add_argument("--nncf-python", type=Path)
    parser.add_argument("--memory", default="", metavar="SIZE", help="control group for each job")
    parser.add_argument("--lathe-memory", default="", metavar="SIZE", help="value of LATHE_MEMORY")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="for each job")
    parser.add_argument("--race-s", type=float, default=20.0, help="for the times of one net")
    parser.add_argument("--unseen", type=int, default=8, help="images that the error is taken on")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    parser.add_argument("--json", type=Path, help="write all rows there too")
    parser.add_argument("--big", action="store_true")
    asked = parser.parse_args()
    asked.images = asked.images or asked.nets_dir / "images256.npz"
    asked.large_images = asked.large_images or asked.nets_dir / "images640.npz"
    if asked.big:
        asked.nets, asked.jobs, asked.race_s = [f"{BIG}_bn"], list(BIG_JOBS), 0.0
    asked.nets = asked.nets or [
        path.stem for path in sorted(asked.nets_dir.glob("*.onnx")) if not path.stem.endswith("_bn")
    ]
    missing = [name for name in asked.nets if not (asked.nets_dir / f"{name}.onnx").exists()]
    if missing and not asked.big:  # the big net is built
        parser.error(f"no {missing[0]}.onnx in {asked.nets_dir}")
    asked.jobs = asked.jobs or [job for job in JOBS if job not in PLAIN]
    if asked.nncf_python is None:
        asked.jobs = [job for job in asked.jobs if job != "nncf"]
    return asked


def _terms(asked: argparse.Namespace, scratch: Path) -> Terms:
    size = _bytes(asked.memory)
    told = asked.lathe_memory
    if size and (reason := group_refused(size)):
        print(f"No control group of {asked.memory} here ({reason}): LATHE_MEMORY says it instead.")
        size, told = 0, told or asked.memory
    return Terms(scratch, asked.timeout_s, asked.nncf_python, size, told)


def _build_big(folder: Path) -> None:
    if not (folder / f"{BIG}_bn.onnx").exists():
        command = [sys.executable, "-m", "benchmarks.nets", str(folder), "--only", BIG, "--bn"]
        subprocess.run(command, check=True, cwd=ROOT)


def _net(name: str, asked: argparse.Namespace, terms: Terms) -> list[dict[str, Any]]:
    """All jobs on one net, then their times; one line of the table for each."""
    subject = _subject(name, asked)
    folder = terms.scratch / name
    folder.mkdir()
    others = any(job in OTHERS for job in asked.jobs)
    ready, jobs = None, asked.jobs
    if others or asked.race_s:
        try:
            ready = prepare(subject, folder, asked.unseen)
        except CoreError as error:
            print(f"{name} goes only through our own jobs: {error.message}", file=sys.stderr)
            jobs = [job for job in jobs if job not in OTHERS]
    made = [_told(name, perform(_form(subject, job), job, folder, terms)) for job in jobs]
    times = _times(subject, made, ready, asked.race_s) if ready and asked.race_s else {}
    rows = []
    for one in made:
        before = _form(subject, one.job).path
        row = _row(name, before, one, times.get(one.job, {}))
        print(_line(row), flush=True)
        rows.append(row)
    shutil.rmtree(folder)
    return rows


def _subject(name: str, asked: argparse.Namespace) -> Subject:
    path = asked.nets_dir / f"{name}.onnx"
    described = path.with_name(f"{path.stem}.preprocess.json")
    sizes = dict(WHEELS[name].sizes) if name in WHEELS else {}
    for text in asked.freeze:
        net, _, pair = text.partition(":")
        dim, _, size = pair.rpartition("=")
        sizes |= {dim: int(size)} if net == name else {}
    graph = onnx.load(path, load_external_data=False).graph
    shape = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    side = max((*shape, *sizes.values()))
    images = asked.large_images if side >= LARGE_INPUT else asked.images
    return Subject(name, path, images, described if described.exists() else None, sizes)


def _form(subject: Subject, job: str) -> Subject:
    """The file for a job: batch norms are folded where there are some."""
    kept = subject.path.with_name(f"{subject.path.stem}_bn.onnx")
    if job != "fold" or not kept.exists():
        return subject
    return dataclasses.replace(subject, path=kept)


def _told(name: str, made: Made) -> Made:
    usage = made.usage
    state = "stopped" if usage.status is None else f"exit {usage.status}"
    print(f"{name}, {made.job}: {state} after {usage.wall_s:.1f} s", file=sys.stderr, flush=True)
    return made


def _times(
    subject: Subject, made: list[Made], ready: Ready, budget_s: float
) -> dict[str, dict[str, Any]]:
    """Ratio and error by job; what was made of another form of the net is raced against that."""
    files = {one.job: one.model for one in made if one.model}
    other = _form(subject, "fold").path
    apart = {"fold": files.pop("fold")} if "fold" in files and other != subject.path else {}
    found: dict[str, dict[str, Any]] = {}
    for original, group in ((ready.model, files), (other, apart)):
        if group:
            raced = race(original, list(group.values()), ready.unseen, budget_s)
            found |= {job: raced[path.name] for job, path in group.items()}
    return found


def _row(name: str, before: Path, made: Made, time: dict[str, Any]) -> dict[str, Any]:
    size = f"{made.model.stat().st_size}" if made.model else ""
    said = [made.said, time.get("reason", "")]
    said += [f"{made.kills} processes ended by the kernel for memory"] if made.kills else []
    return {
        "net": name,
        "job": made.job,
        **dataclasses.asdict(made.usage),
        "bytes_before": before.stat().st_size,
        "bytes_after": int(size) if size else None,
        "ratio": time.get("ratio"),
        "error": time.get("error"),
        "said": "; ".join(text for text in said if text),
    }


def _line(row: dict[str, Any]) -> str:
    after = f"{row['bytes_after'] / MB:.1f}" if row["bytes_after"] else "-"
    cells = [
        row["net"],
        row["job"],
        "stopped" if row["status"] is None else str(row["status"]),
        f"{row['wall_s']:.1f}",
        f"{row['cpu_s']:.1f}",
        f"{row['together_bytes'] / MB:,.0f}",
        f"{row['largest_bytes'] / MB:,.0f} ({row['largest_name']})",
        f"{row['bytes_before'] / MB:.1f} → {after}",
        f"{row['ratio']:.3f}x" if row["ratio"] else "-",
        f"{row['error']:.2g}" if row["error"] is not None else "-",
        row["said"].replace("|", "/"),
    ]
    return "| " + " | ".join(cells) + " |"


def _bytes(text: str) -> int:
    """2G, 800M or plain bytes."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    if not text:
        return 0
    unit = units.get(text[-1].upper(), 1)
    return int(float(text[:-1] if unit > 1 else text) * unit)


if __name__ == "__main__":
    sys.exit(main())
