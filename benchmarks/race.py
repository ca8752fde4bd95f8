"""Times of models on ONNX Runtime, taken in turns, and how far their outputs are from the first's.

    python -m benchmarks.race FEEDS.npy ORIGINAL.onnx CANDIDATE.onnx ... [--threads 1]
        [--budget-s 20]

Prints one JSON object: file -> {"ms", "ratio", "error"}. `ratio` is of the medians of the faster
halves. `error` is the relative error of all outputs together on the rows of FEEDS: the root of
(squared distance / squared distance of the original's outputs from their mean over the rows).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[Any]
FEWEST_TURNS, MOST_TURNS, WARM_UP = 5, 100, 2


def main() -> None:
    """Print the times and errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("feeds", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=20.0)
    asked = parser.parse_args()
    feeds = np.load(asked.feeds)
    found: dict[str, dict[str, Any]] = {}
    sessions = {}
    for path in asked.models:
        try:
            sessions[path.name] = session(path, asked.threads)
        except Exception as refusal:  # whatever a runtime says of a file that it does not take
            found[path.name] = {"reason": str(refusal).splitlines()[0][:200]}
    first = asked.models[0].name
    times = turns(list(sessions.values()), feeds[:1], asked.budget_s)
    wanted = outputs(sessions[first], feeds)
    for (name, one), taken in zip(sessions.items(), times, strict=True):
        found[name] = {
            "ms": 1e3 * taken,
            "ratio": taken / times[0],
            "error": error(outputs(one, feeds), wanted),
        }
    print(json.dumps(found))


def session(path: Path, threads: int) -> ort.InferenceSession:
    """A session as a user would open it, with so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def turns(sessions: list[ort.InferenceSession], feed: Array, budget_s: float) -> list[float]:
    """Seconds of one call for each session: every turn calls each once, to and fro."""
    times: list[list[float]] = [[] for _ in sessions]
    end = time.perf_counter() + budget_s
    for turn in range(MOST_TURNS + WARM_UP):
        pairs = list(zip(sessions, times, strict=True))
        for one, taken in pairs if turn % 2 else reversed(pairs):
            start = time.perf_counter()
            one.run(None, {one.get_inputs()[0].name: feed})
            taken.append(time.perf_counter() - start)
        if turn >= FEWEST_TURNS + WARM_UP and time.perf_counter() > end:
            break
    kept = [sorted(taken[WARM_UP:]) for taken in times]
    return [float(np.median(taken[: (len(taken) + 1) // 2])) for taken in kept]


def outputs(one: ort.InferenceSession, feeds: Array) -> list[Array]:
    """Every output, row by row of the feeds; a batch may be fixed to one."""
    name = one.get_inputs()[0].name
    runs = [one.run(None, {name: row[None]}) for row in feeds]
    return [np.stack(values) for values in zip(*runs, strict=True)]


def error(got: list[Array], wanted: list[Array]) -> float:
    """Relative error; 0 is equal, 1 is no better than the mean over the rows."""
    if [one.shape for one in got] != [one.shape for one in wanted]:
        return float("nan")
    distance = sum(
        float(((a - b).astype(np.float64) ** 2).sum()) for a, b in zip(got, wanted, strict=True)
    )
    spread = sum(float(((b - b.mean(0)).astype(np.float64) ** 2).sum()) for b in wanted)
    return float(np.sqrt(distance / spread)) if spread else float("nan")


if __name__ == "__main__":
    main()
