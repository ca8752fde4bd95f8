"""Every small model of a folder through every pass: right, left alone with its reason, or wrong.

    .venv/bin/python -m benchmarks.field DIR [--only NAME ...] [--passes NAME ...]

DIR holds *.onnx and, for passes that take images, calibration.npz (one array per model input, or
`images`). Each pass runs alone, through the same runner as in the program; outputs are compared
with the original's on ONNX Runtime (fp16 in the reference's true float16 arithmetic), inputs of
three scales for a pass that is exact. Prints a row per model and pass: what changed, the signal to
noise ratio of the worst output in dB, what was left alone or undone and why. WRONG counts results
that lie further off than a pass may, and reasons that blame the model or call a defect.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core import graph as graphs
from core.calibration import Calibration
from core.calibration.services import NoServices, Services
from core.data import synthetic_feeds
from core.errors import CoreError
from core.formats.onnx import gate
from core.pipeline import runner
from core.records import Recipe, Step, StepReport
from core.wording import sentence

PASSES = {
    "simplify": Step("simplify"),
    "fold": Step("fold_batch_norm"),
    "prune": Step("prune_channels", {"ratio": 0.3}),
    "fp16": Step("convert_precision", {"precision": "fp16"}),
    "fp32": Step("convert_precision", {"precision": "fp32"}),
    "int8": Step("quantize_int8"),
    "int8-stock": Step("quantize_static"),
    "int4": Step("quantize_weights"),
    "dynamic": Step("quantize_dynamic"),
    "replace": Step("replace_convolutions"),
}
EXACT = frozenset({"simplify", "fold", "fp32"})
SCALES = (1.0, 8.0, 0.05)
LEAST_DB = {"fp16": 40.0, "int8": 12.0, "int8-stock": 12.0, "int4": 8.0, "dynamic": 12.0}
EXACT_DB = 60.0
Tensors = dict[str, Any]


def main() -> int:
    """Print the table; exit status 1 if a result is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--passes", nargs="*", default=list(PASSES))
    asked = parser.parse_args()
    wrong = 0
    for file in sorted(asked.folder.glob("*.onnx")):
        if asked.only and file.stem not in asked.only:
            continue
        for line, bad in rows(file, asked.folder, asked.passes):
            wrong += bad
            print(line, flush=True)
    print(f"\nWRONG {wrong}")
    return int(wrong > 0)


def rows(file: Path, folder: Path, passes: list[str]) -> Iterator[tuple[str, bool]]:
    """A line for each pass, and whether its result is wrong."""
    import tempfile

    with tempfile.TemporaryDirectory() as models:
        try:
            graph = gate.admit(file, file.name, Path(models), folder).graph
        except CoreError as error:
            yield f"{file.stem}: REFUSED {error.code}: {error.message}", True
            return
    for name in passes:
        statistics = _statistics(graph, folder)
        try:
            result, reports = runner.apply(graph, Recipe(name, (PASSES[name],)), statistics)
        except CoreError as error:
            yield f"{file.stem} {name}: {error.code}: {error.message[:150]}", False
            continue
        yield _row(file.stem, name, graph, result, reports[0], statistics)


def _row(
    stem: str, name: str, graph: Any, result: Any, report: StepReport, statistics: Services
) -> tuple[str, bool]:
    if report.reverted:
        bad = "defect" in report.reverted or "specification" in report.reverted
        return f"{stem} {name}: {'WRONG ' if bad else ''}undone: {report.reverted[:220]}", bad
    error, worst = _error(graph, result, statistics, name)
    least = EXACT_DB if name in EXACT else LEAST_DB.get(name, -99.0)
    bad = worst is not None and worst < least and report.changed > 0
    grown = len(graphs.serialize(result)) / len(graphs.serialize(graph))
    left = "; ".join(sorted({f"{s.node}: {sentence(s.reason)}" for s in report.skipped}))[:160]
    return (
        f"{stem} {name}: {'WRONG ' if bad else ''}{report.changed} changed, {error}, "
        f"size x{grown:.2f}; {left}",
        bad,
    )


def _statistics(graph: Any, folder: Path) -> Services:
    specs = graphs.input_specs(graph)
    images = folder / "calibration.npz"
    try:
        found = Calibration(images, specs, graphs.preprocess(graph))
        next(found.feeds())
    except (CoreError, OSError):
        return NoServices()
    return found


def _error(graph: Any, result: Any, statistics: Services, name: str) -> tuple[str, float | None]:
    """The worst error over outputs, scales and both, in words and as SQNR in dB."""
    worst, exact = None, name in EXACT
    try:
        before, after = _session(graph), _session(result)
        half = _reference(result) if name == "fp16" else None
    except Exception as error:
        return f"not run ({str(error)[:80]})", None
    for feeds in _feeds(graph, statistics, exact):
        try:
            old = _run(_reference(graph), feeds) if half else before.run(None, feeds)
            old = old or before.run(None, feeds)
        except Exception:
            continue
        try:
            new = _run(half, feeds) or after.run(None, feeds)
        except Exception as error:
            return f"result does not run ({str(error)[:80]})", -999.0
        for a, b in zip(old, new, strict=True):
            worst = min(v for v in (worst, decibels(a, b)) if v is not None)
    return (f"{worst:.0f} dB" if worst is not None else "not compared"), worst


def _run(session: Any, feeds: Tensors) -> list[Any]:
    """Outputs of the reference; none where it does not know an operator."""
    try:
        return list(session.run(None, feeds)) if session is not None else []
    except Exception:  # whatever the reference lacks
        return []


def decibels(a: Any, b: Any) -> float:
    """Signal to noise ratio of an output; -999 where it is of another shape or kind."""
    if isinstance(a, list):
        return min([decibels(x, y) for x, y in zip(a, b, strict=True)], default=200.0)
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return -999.0
    if a.dtype.kind not in "fiu":
        return 200.0 if np.array_equal(a, b) else -999.0
    x, y = a.astype(np.float64), b.astype(np.float64)
    same = np.array_equal(np.isfinite(x), np.isfinite(y))
    if not same:
        return -999.0
    keep = np.isfinite(x)
    error = np.mean((x[keep] - y[keep]) ** 2) if keep.any() else 0.0
    power = np.mean(x[keep] ** 2) if keep.any() else 1.0
    if error == 0:
        return 200.0
    return float(10 * np.log10(max(power, 1e-30) / error))


def _feeds(graph: Any, statistics: Services, exact: bool) -> Iterator[Tensors]:
    if statistics.count:
        yield next(statistics.feeds())
        if not exact:  # ranges hold for inputs like these
            return
    specs = graphs.input_specs(graph)
    for size in (16, 32, 48):
        dims = {d: size for s in specs for d in s.shape[1:] if isinstance(d, str)}
        for scale in SCALES if exact else SCALES[:1]:
            try:
                feeds = next(synthetic_feeds(specs, 1, dims=dims))
            except CoreError:
                continue
            yield {
                n: (v * scale).astype(v.dtype) if v.dtype.kind == "f" else v
                for n, v in feeds.items()
            }
        if not dims:
            break


def _reference(graph: Any) -> Any:
    """Numpy's arithmetic in the type that the file says, true float16 among them."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(onnx.ModelProto.FromString(graphs.serialize(graph)))


def _session(graph: Any) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        graphs.serialize(graph), options, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    sys.exit(main())
