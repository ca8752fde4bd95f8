"""Are Lathe's medians what a user's own loop gets, with each runtime as it comes?

    .venv/bin/python -m benchmarks.bare_loops --data-dir DIR [--rounds 8] [--threads 1 2]

Each net is timed on each backend in turns: a bare loop in a process of its own,
with a session made as the runtime's own examples make it (nothing set but the threads and, on
OpenVINO, f32), and Lathe's worker, through the same comparison that a user asks for. The ratio of
the medians has a 95 % interval over the rounds. Target: within 3 %. OpenVINO is asked for its own
clock on both sides, as its benchmark_app does: a call from Python adds 20 to 70 microseconds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.measure import LatencyJob, Setting, Source, Verifier, latency
from core.pipeline.client import Workshop
from core.records import ModelSummary

NETS = ("squeezenet", "mobilenet_v1_0.25", "cifar10_resnet20")
BACKENDS = ("onnxruntime", "openvino", "opencv")
WARM_S, LOOP_S = 0.3, 0.7
Call = Callable[[], int]  # runs the net once; nanoseconds


def main() -> int:
    """Print the table; the status is 1 if a ratio misses the target and its interval does too."""
    asked = _options()
    missed = 0
    print("net, backend, threads | bare ms | Lathe ms | ratio [95 % interval] | busy rounds")
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        for net in asked.nets:
            model = _admitted(net, asked.data_dir, Path(folder))
            for backend in asked.backends:
                for threads in asked.threads:
                    missed += _row(model, net, backend, threads, asked)
    return int(missed > 0)


def _row(
    model: ModelSummary, net: str, backend: str, threads: int, asked: argparse.Namespace
) -> bool:
    bare, ours, busy = [], [], 0
    for turn in range(asked.rounds):
        for side in ("bare", "ours") if turn % 2 == 0 else ("ours", "bare"):
            if side == "bare":
                bare.append(_bare(model, backend, threads))
            else:
                middle, crowded = _lathe(model, backend, threads, asked.budget_s)
                ours.append(middle)
                busy += crowded
    ratios = [math.log(b / a) for a, b in zip(bare, ours, strict=True)]
    low, high = (math.exp(x) for x in _interval(ratios))
    ratio = math.exp(statistics.median(ratios))
    print(
        f"{net}, {backend}, {threads} | {statistics.median(bare):.3f} | "
        f"{statistics.median(ours):.3f} | {ratio:.3f} [{low:.3f}, {high:.3f}] | "
        f"{busy} of {asked.rounds}",
        flush=True,
    )
    return (ratio < 0.97 and high < 0.97) or (ratio > 1.03 and low > 1.03)


def _interval(logs: list[float]) -> tuple[float, float]:
    """Of the median over rounds, by bootstrap."""
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(logs, size=(2000, len(logs))), axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _lathe(model: ModelSummary, backend: str, threads: int, budget_s: float) -> tuple[float, bool]:
    """The median in ms that a user is shown, and whether the machine was called busy."""
    job = LatencyJob(model, model, Setting.of(backend, threads), Source(), budget_s)
    found = latency(job, Verifier(Source(), lambda: False), lambda rows: None, lambda: False)
    row = next(row for row in found if row.metric == "latency_ms")
    if row.value is None:
        raise RuntimeError(row.reason)
    return row.value, bool(row.detail["busy"])


def _bare(model: ModelSummary, backend: str, threads: int) -> float:
    """The median in ms of a loop in a process that knows nothing of Lathe's settings."""
    command = [sys.executable, "-m", "benchmarks.bare_loops", "--loop", backend, str(threads)]
    done = subprocess.run(
        [*command, str(model.path)], check=True, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    return float(json.loads(done.stdout)["median_ms"])


def loop(backend: str, threads: int, model: str) -> None:
    """The child: warm up, then call after call; prints its median."""
    call = {"onnxruntime": _onnxruntime, "openvino": _openvino, "opencv": _opencv}[backend](
        model, threads
    )
    end = time.perf_counter() + WARM_S
    while time.perf_counter() < end:
        call()
    times, end = [], time.perf_counter() + LOOP_S
    while time.perf_counter() < end or len(times) < 20:
        times.append(call())
    print(json.dumps({"median_ms": statistics.median(times) / 1e6}))


def _onnxruntime(model: str, threads: int) -> Call:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, value = _input(session.get_inputs()[0].name, session.get_inputs()[0].shape)
    binding = session.io_binding()
    binding.bind_cpu_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: _clocked(lambda: session.run_with_iobinding(binding))


def _openvino(model: str, threads: int) -> Call:
    import openvino as ov

    core = ov.Core()
    read = core.read_model(model)
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    port = read.inputs[0]
    _, value = _input(port.get_any_name(), [d.get_min_length() or 1 for d in port.partial_shape])
    request.infer({0: value}, share_inputs=True)

    def call() -> int:
        """By OpenVINO's own clock: the call from Python is not part of what it computes."""
        request.infer(share_outputs=True)
        return round(request.latency * 1e6)

    return call


def _opencv(model: str, threads: int) -> Call:
    import cv2
    import onnx

    cv2.setNumThreads(threads)
    net: Any = cv2.dnn.readNetFromONNX(model)
    given = onnx.load(model).graph.input[0]
    shape = [d.dim_value for d in given.type.tensor_type.shape.dim]
    name, value = _input(given.name, shape)
    names = list(net.getUnconnectedOutLayersNames())

    def call() -> object:
        net.setInput(value, name)
        return net.forward(names)

    return lambda: _clocked(call)


def _clocked(run: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - start


def _input(name: str, shape: list[Any]) -> tuple[str, np.ndarray[Any, Any]]:
    sides = [side if isinstance(side, int) and side > 0 else 1 for side in shape]
    return name, np.random.default_rng(0).normal(size=sides).astype(np.float32)


def _admitted(net: str, data: Path, folder: Path) -> ModelSummary:
    """The one file whose name ends like this, with a batch of one."""
    (file,) = [p for p in (data / "models").glob("*.onnx") if _is(net, p.stem)]
    with Workshop() as workshop:
        model = workshop.admit(file, file.name, folder)
        dims = {d: 1 for spec in model.inputs for d in spec.shape if isinstance(d, str)}
        return workshop.freeze(model.path, dims, folder, net) if dims else model


def _is(net: str, stem: str) -> bool:
    return stem == net or stem.endswith(f"_{net}") or (net == "squeezenet" and net in stem)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with models/")
    parser.add_argument("--nets", nargs="+", default=list(NETS))
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--budget-s", type=float, default=3.0)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loop"]:
        os.environ.pop("OMP_WAIT_POLICY", None)
        loop(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        sys.exit(0)
    sys.exit(main())
