"""Int8 and int4 of this project beside onnxruntime.quantization and NNCF, in one run.

    python -m benchmarks.quantize --data-dir DATA [--nets resnet20,mobilenet] [--nncf PYTHON]
                                  [--images N] [--backends openvino,opencv] [--json OUT]

DATA holds `models/*.onnx` with `*.preprocess.json`, `cifar10_calibration.npz`, `cifar10_test.npz`,
`imagenet_calibration200.zip`, `imagenet_dev200.zip` and `imagenet_val100.zip`. Calibration never
sees a labelled image. Top-1 is on all labelled images; times are on ONNX Runtime and each of
--backends, one thread, one image, all candidates taken in turns, as the ratio of medians of the
faster halves to the fp32 file as it was given. NNCF needs its own environment: give its Python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core import graph as graphs
from core.calibration import Calibration, Unseen
from core.calibration.targets import int8
from core.data import open_set, read_preprocess
from core.data.sets import has_background_class
from core.errors import CoreError
from core.passes.base import catalogue
from core.pipeline.runner import apply
from core.records import Recipe, RunOptions, Step
from core.wording import sentence, sentences

NNCF = """
import sys, numpy, onnx, nncf
model = onnx.load(sys.argv[1]); feeds = numpy.load(sys.argv[3])
name = model.graph.input[0].name
data = nncf.Dataset([{name: row[None]} for row in feeds["x"]])
onnx.save(nncf.quantize(model, data, subset_size=len(feeds["x"])), sys.argv[2])
"""
Load = Callable[[Path, int], Any]  # (file, threads) -> session
SAMPLES = Path(__file__).parents[1] / "sample_models"


@dataclass(frozen=True)
class Net:
    """A net with its data and what it shall reach."""

    file: str
    calibration: str
    evaluation: tuple[str, ...]
    lost: float = 100.0
    ratio: float = 100.0
    lost_int4: float = 100.0


OURS = ("mobile", "resnet")
CIFAR = ("cifar10_calibration.npz", ("cifar10_test.npz",))
IMAGENET = ("imagenet_calibration200.zip", ("imagenet_dev200.zip", "imagenet_val100.zip"))
NETS = {
    "resnet20": Net("cifar10_resnet20", *CIFAR, 0.1, 0.58, 0.5),
    "mobilenet": Net("imagenet_mobilenet_v1_0.25", *IMAGENET, 1.0, 0.95),
    "squeezenet": Net("imagenet_squeezenet1_1_caffe", *IMAGENET, 0.5, 0.60, 1.5),
    "densenet": Net("cifar10_densenet52_k12", *CIFAR, 0.1, 0.65),
    "mobilenet2": Net("imagenet_mobilenet_v2_1.0_tf2", *IMAGENET, 1.0, 1.0),
    "mobilenet_bn": Net("imagenet_mobilenet_v1_0.25_bn", *IMAGENET, 1.0, 0.95),
    "mobile": Net("mobile", "calibration.zip", ("evaluation.zip",), 0.3, 1.0),
    "resnet": Net("resnet", "calibration.zip", ("evaluation.zip",), 0.3, 1.0),
}


@dataclass
class Row:
    """One candidate."""

    name: str
    model: bytes = b""
    seconds: float = 0.0
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    top1: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """A net, loaded."""

    net: Net
    model: Path
    folder: Path
    calibration: Path
    evaluation: tuple[Path, ...]
    preprocess: Any
    images: int

    def statistics(self, graph: Any) -> Calibration:
        """Calibration data for `graph`."""
        return Calibration(self.calibration, graphs.input_specs(graph), self.preprocess)

    def feeds(self, graph: Any) -> Iterator[np.ndarray[Any, Any]]:
        """Calibration images one by one."""
        for batch in self.statistics(graph).feeds():
            yield from next(iter(batch.values()))


def opened(name: str, data: Path, folder: Path, images: int) -> Bench:
    """The net of this name; its calibration set cut to `images`."""
    net = NETS[name]
    home = SAMPLES if name in OURS else data
    models = SAMPLES if name in OURS else data / "models"
    preprocess = read_preprocess(json.loads((models / f"{net.file}.preprocess.json").read_text()))
    calibration = home / net.calibration
    if open_set(calibration).count > images and calibration.suffix == ".npz":
        cut = folder / "calibration.npz"
        np.savez(cut, images=np.load(calibration)["images"][:images])
        calibration = cut
    return Bench(
        net, models / f"{net.file}.onnx", folder, calibration,
        tuple(home / e for e in net.evaluation), preprocess, images,
    )  # fmt: skip


def ours(bench: Bench, *steps: Step, images: bool = True) -> Row:
    """A recipe of this project, with the calibration images or without any."""
    graph = graphs.load(bench.model)
    statistics = (
        bench.statistics(graph) if images else Unseen(graphs.input_specs(graph), bench.preprocess)
    )
    made, reports = apply(graph, Recipe("ours", steps), statistics)
    last = reports[-1]
    row = Row(
        "",
        notes=[*sentences(last.notes), *(f"{s.node}: {sentence(s.reason)}" for s in last.skipped)],
    )
    row.reason = last.reverted
    row.model = b"" if last.reverted else graphs.serialize(made)
    return row


def stock(bench: Bench, method: str, per_channel: bool) -> Row:
    """onnxruntime.quantization as its documentation says."""
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = graphs.load(bench.model)
    before, after = bench.folder / "pre.onnx", bench.folder / "stock.onnx"
    quant_pre_process(str(bench.model), str(before), skip_symbolic_shape=True)

    class Reader:
        def __init__(self) -> None:
            name = onnx.load(before).graph.input[0].name
            self._rows = ({name: row[None]} for row in bench.feeds(graph))

        def get_next(self) -> Any:
            return next(self._rows, None)

    quantize_static(
        str(before), str(after), Reader(), per_channel=per_channel,
        calibrate_method=getattr(CalibrationMethod, method),
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return Row("", after.read_bytes())


def nncf(bench: Bench, python: str) -> Row:
    """NNCF's defaults on the pre-processed graph."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = graphs.load(bench.model)
    before, after, feeds = (bench.folder / n for n in ("pre.onnx", "nncf.onnx", "feeds.npz"))
    quant_pre_process(str(bench.model), str(before), skip_symbolic_shape=True)
    np.savez(feeds, x=np.stack(list(bench.feeds(graph))[:300]))
    command = [python, "-c", NNCF, str(before), str(after), str(feeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return Row("", reason=(done.stderr.strip().splitlines() or ["?"])[-1])
    return Row("", after.read_bytes())


def top1(bench: Bench, load: Load, path: Path) -> float:
    """Percent of the labelled images whose largest output is right."""
    graph = graphs.load(bench.model)
    specs = graphs.input_specs(graph)
    session, right, count = load(path, 2), 0, 0
    for place in bench.evaluation:
        images = open_set(place)
        labels, start = np.asarray(images.labels), 0
        for batch in images.feeds(specs, bench.preprocess, 16):
            values = next(iter(session.run(batch).values()))
            scores = np.asarray(values).reshape(len(values), -1)
            scores = scores[:, 1:] if has_background_class(scores.shape[1], labels) else scores
            wanted = labels[start : start + len(scores)]
            right += int((scores[: len(wanted)].argmax(1) == wanted).sum())
            start += len(wanted)
        count += start
    return 100.0 * right / count


def loaders(names: list[str]) -> dict[str, Load]:
    """Backend -> how it opens a file with so many threads."""
    import importlib

    found: dict[str, Load] = {}
    for name in dict.fromkeys(["onnxruntime", *names]):
        backend = importlib.import_module(f"core.backends.{name}").BACKEND
        found[name] = lambda p, threads, b=backend: b.load(p, RunOptions(threads=threads))
    return found


def race(bench: Bench, rows: list[Row], loaders: dict[str, Load], turns: int = 40) -> None:
    """Fill in the ratios: one thread, one image, in turns, on each backend."""
    graph = graphs.load(bench.model)
    name = graphs.input_specs(graph)[0].name
    feeds = {name: next(bench.feeds(graph))[None]}
    for backend, load in loaders.items():
        sessions = {i: s for i, row in enumerate(rows) if (s := opened_on(load, bench, row))}
        times: dict[int, list[float]] = {i: [] for i in sessions}
        for turn in range(turns + 3):
            for i in [*sessions][:: 1 if turn % 2 else -1]:
                sessions[i].run(feeds)  # its own caches, not those of the one before
                started = time.perf_counter()
                sessions[i].run(feeds)
                times[i].append(time.perf_counter() - started)
        middle = {i: float(np.median(np.sort(t[3:])[: turns // 2])) for i, t in times.items()}
        for i, value in middle.items():
            rows[i].ratio[backend] = value / middle.get(0, float("nan"))
        for session in sessions.values():
            session.close()


def opened_on(load: Load, bench: Bench, row: Row) -> Any:
    """A session of one thread, or None where the backend does not take the candidate."""
    if not row.model:
        return None
    path = bench.folder / "racing.onnx"
    path.write_bytes(row.model)
    try:
        return load(path, 1)
    except CoreError:
        return None


def candidates(bench: Bench, options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """(name, how it is made)."""
    yield "fp32", lambda: Row("", graphs.serialize(graphs.load(bench.model)))
    if not options.ours_only:
        for method in ("MinMax", "Entropy", "Percentile"):
            yield f"onnxruntime {method} per channel", lambda m=method: stock(bench, m, True)
        yield "onnxruntime MinMax per tensor", lambda: stock(bench, "MinMax", False)
        if options.nncf:
            yield "NNCF", lambda: nncf(bench, options.nncf)
    for goal in ("safe", "fastest"):
        yield f"ours {goal}", lambda g=goal: ours(bench, Step("quantize_int8", {"goal": g}))
    for backend in (b for b in options.backends.split(",") if b in int8()):
        step = Step("quantize_int8", {"backend": backend})
        yield f"ours safe, for {backend}", lambda s=step: ours(bench, s)
    fast = Step("quantize_int8", {"goal": "fastest"})
    yield "ours fastest, data-free", lambda: ours(bench, fast, images=False)
    folded = Step("fold_batch_norm", {}), fast
    yield "ours fastest, folded, data-free", lambda: ours(bench, *folded, images=False)
    if "quantize_weights" in catalogue():
        for bits in ("8", "4", "3"):
            step = Step("quantize_weights", {"bits": bits})
            yield f"ours weights int{bits}", lambda s=step: ours(bench, s)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("LATHE_DATA"))
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--nncf", default="")
    parser.add_argument("--backends", default="")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--only", default="", help="words, one of which a candidate's name holds")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data_dir is None:
        parser.error("--data-dir or LATHE_DATA is needed")
    results = {}
    for name in options.nets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            bench = opened(name, Path(options.data_dir), Path(folder), options.images)
            results[name] = table(name, bench, options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def table(name: str, bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make, score, race and print the candidates of one net."""
    rows: list[Row] = []
    backends = loaders([b for b in options.backends.split(",") if b])
    words = [word for word in options.only.split(",") if word]
    for label, make in candidates(bench, options):
        if words and label != "fp32" and not any(word in label for word in words):
            continue
        started = time.perf_counter()
        try:
            row = make()
        except Exception as failure:
            row = Row("", reason=f"{type(failure).__name__}: {failure}"[:160])
        row.name, row.seconds = label, time.perf_counter() - started
        rows.append(row)
        if not row.model:
            continue
        path = bench.folder / "candidate.onnx"
        path.write_bytes(row.model)
        if options.keep:
            (options.keep / f"{name}.{label.replace(' ', '_')}.onnx").write_bytes(row.model)
        for backend, load in backends.items():
            try:
                row.top1[backend] = top1(bench, load, path)
            except CoreError as failure:
                row.notes.append(f"{backend}: {failure.message[:160]}")
    race(bench, rows, backends)
    show(name, bench.net, rows, options.verbose)
    return [
        {"name": r.name, "top1": r.top1, "ratio": r.ratio, "bytes": len(r.model),
         "seconds": r.seconds, "reason": r.reason, "notes": r.notes}
        for r in rows
    ]  # fmt: skip


def show(name: str, net: Net, rows: list[Row], verbose: bool) -> None:
    """One table."""
    print(f"\n{name} ({net.file}); to reach: {net.lost} points, {net.ratio}x time")
    print(f"{'':34s} {'top-1 % and time':70s} {'lost':>6s} {'size':>6s} {'made in':>8s}")
    first = rows[0]
    for row in rows:
        if not row.model:
            print(f"{row.name:34s} - {row.reason}")
            continue
        lost = first.top1["onnxruntime"] - row.top1.get("onnxruntime", float("nan"))
        scores = " ".join(
            f"{b} {v:.2f} {row.ratio.get(b, float('nan')):.2f}x" for b, v in row.top1.items()
        )
        print(
            f"{row.name:34s} {scores:70s} {lost:6.2f} "
            f"{len(row.model) / len(first.model):5.2f}x {row.seconds:6.1f} s"
        )
        for note in row.notes if verbose else ():
            print(f"      {note}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
