"""Synthetic runs for charts, reports and pages: figures that never came from a clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.records import (
    Candidate,
    ExperimentSpec,
    Host,
    LayerCost,
    Measurement,
    ModelSummary,
    Note,
    Outcome,
    Recipe,
    Run,
    RunProgress,
    Skip,
    State,
    Status,
    Step,
    StepReport,
    TensorSpec,
)

HOSTILE = "<img src=x onerror=alert(1)> =HYPERLINK() | *a* [x](javascript:y) <b>"
BACKENDS = ("onnxruntime", "openvino", "opencv")
HOST = Host(
    "AMD EPYC 9354 32-Core Processor", ("avx2", "avx512f", "avx512_vnni"), 2, "Linux 6.1",
    {"onnxruntime": "1.32.0", "openvino": "2026.4.0", "opencv": "5.0.0", "lathe": "0.1.0"},
)  # fmt: skip
BASE, PRUNED, QUANTIZED = "a" * 64, "b" * 64, "c" * 64
RECIPES = (
    Recipe("original"),
    Recipe("prune 30 %", (Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.3}))),
    Recipe("int8", (Step("fold_batch_norm"), Step("quantize_static", {"method": "minmax"}))),
)


def summary(digest: str = BASE, keep: float = 1.0, name: str = "resnet") -> ModelSummary:
    layers = tuple(
        LayerCost(
            layer, kind, op, (1, int(channels * keep), side, side), int(params * keep),
            int(macs * keep), int(4 * params * keep),
        )
        for layer, kind, op, channels, side, params, macs in (
            ("stem", "conv 3x3", "Conv", 16, 64, 432, 1_769_472),
            ("stage1/conv", "conv 3x3", "Conv", 64, 32, 36_864, 37_748_736),
            ("stage1/dw", "depthwise 3x3", "Conv", 64, 32, 576, 589_824),
            ("stage2/pw", "conv 1x1", "Conv", 128, 16, 8_192, 2_097_152),
            ("stage2/conv", "conv 3x3", "Conv", 256, 16, 294_912, 75_497_472),
            ("fc", "fully connected", "Gemm", 16, 1, 4_112, 4_096),
        )
    )  # fmt: skip
    return ModelSummary(
        digest=digest, name=name, path=Path("models") / f"{digest}.onnx",
        inputs=(TensorSpec("input", "float32", (1, 3, 64, 64)),),
        outputs=(TensorSpec("logits", "float32", (1, 16)),),
        opset=17, ir_version=8, producer="pytorch", nodes=44,
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        size_bytes=int(1_402_000 * keep), batch_norms=19 if keep == 1 else 0, layers=layers,
        advice=(Note.of("advice.odd_channels", layers=1, multiple=8, first=[("c", 12)]),),
    )  # fmt: skip


def row(
    candidate: str, metric: str, value: float | None, backend: str = "", **more: Any
) -> Measurement:
    made = Measurement(
        candidate=candidate, backend=backend, metric=metric, value=value, low=value, high=value,
        status=Status.OK if value is not None else Status.FAILED,
        reason="" if value is not None else "it failed",
    )  # fmt: skip
    return replace(made, **more)


def latency(
    candidate: str, backend: str, ms: float, ratio: float, verdict: str
) -> list[Measurement]:
    paired = {"threads": "1", "baseline": BASE, "input": "1x3x64x64"}
    detail = {"p90": ms * 1.1, "p99": ms * 1.4, "cpu_ms": ms, "samples": 400, "busy": False}
    return [
        row(
            candidate, "latency_ms", ms, backend, low=ms * 0.98, high=ms * 1.02,
            clock="perf_counter", condition=paired, detail=detail,
        ),
        row(
            candidate, "latency_ratio", ratio, backend, low=ratio * 0.98, high=ratio * 1.02,
            clock="perf_counter", condition=paired, detail={"verdict": verdict},
        ),
    ]  # fmt: skip


def accuracy(candidate: str, backend: str, top1: float, delta: float | None) -> list[Measurement]:
    seen = {"data": "d" * 64, "images": "2000", "baseline": BASE}
    made = [
        row(candidate, "top1", top1, backend, low=top1 - 1.1, high=top1 + 1.0, condition=seen),
        row(candidate, "top5", 99.4, backend, low=99.0, high=99.7, condition=seen),
    ]
    if delta is not None:
        made += [
            row(
                candidate, "top1_delta", delta, backend, low=delta - 0.5, high=delta + 0.5,
                condition=seen, detail={"flips": 31, "flipped": [1, 5]},
            ),
            row(candidate, "agreement", 97.2, backend, low=96.5, high=97.9, condition=seen),
            row(candidate, "sqnr_db", 24.31, backend, condition=seen),
        ]  # fmt: skip
    return made


def sizes(candidate: str, keep: float) -> list[Measurement]:
    return [
        row(candidate, "size_bytes", 1_402_000 * keep),
        row(candidate, "zipped_bytes", 1_290_000 * keep),
        row(candidate, "parameters", 345_088 * keep),
        row(candidate, "macs", 117_706_752 * keep),
        row(candidate, "nodes", 44.0),
    ]


def measurements() -> tuple[Measurement, ...]:
    """Two candidates on three backends: faster, slower, unstable, failed and missing rows."""
    rows = sizes(BASE, 1.0) + sizes(PRUNED, 0.7) + sizes(QUANTIZED, 0.26)
    for backend, ms in zip(BACKENDS, (2.1, 1.8, 3.9), strict=True):
        rows += latency(BASE, backend, ms, 1.0, "same")[:1]
        rows += accuracy(BASE, backend, 93.8, None)
    rows += latency(PRUNED, "onnxruntime", 1.5, 0.71, "faster")
    rows += latency(PRUNED, "openvino", 1.1, 0.61, "faster")
    rows += latency(PRUNED, "opencv", 3.85, 0.99, "same")
    rows += latency(QUANTIZED, "onnxruntime", 2.9, 1.38, "slower")
    rows += latency(QUANTIZED, "openvino", 0.7, 0.39, "faster")
    reason = "InferenceFailed: opencv cannot load QuantizeLinear <node 3>"
    paired = {"threads": "1", "baseline": BASE, "input": "1x3x64x64"}
    rows.append(row(QUANTIZED, "latency_ms", None, "opencv", reason=reason, condition=paired))
    rows.append(row(QUANTIZED, "top1", None, "opencv", reason=reason))
    for backend in BACKENDS:
        rows += accuracy(PRUNED, backend, 90.2, -3.6)
    for backend in BACKENDS[:2]:
        rows += accuracy(QUANTIZED, backend, 93.4, -0.4)
    return tuple(rows)


def run(**changes: Any) -> Run:
    """A finished run; `changes` replace its fields."""
    spec = ExperimentSpec(
        "resnet: prune and int8", BASE, RECIPES, BACKENDS, evaluation="d" * 64, calibration="e" * 64
    )
    candidates = [Candidate(BASE, Path("x.onnx"), RECIPES[0])]
    for digest, recipe in zip((PRUNED, QUANTIZED), RECIPES[1:], strict=True):
        left = (Skip("conv<9>", Note.text("shared weights")),)
        report = tuple(
            StepReport(s, 19, left, (Note.text("A note."),), "", 0.4) for s in recipe.steps
        )
        candidates.append(Candidate(digest, Path("y.onnx"), recipe, report))
    keeps = (1.0, 0.7, 0.26)
    outcomes = tuple(
        Outcome(c.recipe, c, summary(c.digest, keep))
        for c, keep in zip(candidates, keeps, strict=True)
    )
    made = Run(
        id="run-1", owner="me", created="2026-01-02T03:04:05+00:00", spec=spec,
        progress=RunProgress(State.DONE, 10, 10), model=summary(), outcomes=outcomes,
        measurements=measurements(), host=HOST,
    )  # fmt: skip
    return replace(made, **changes)


def live() -> Run:
    """A run that has just begun: no outcome, no number."""
    return run(
        outcomes=(), measurements=(), progress=RunProgress(State.RUNNING, 0, 10, "fold", 40.0)
    )


def without_labels() -> Run:
    kept = tuple(m for m in measurements() if m.metric not in ("top1", "top5", "top1_delta"))
    return run(measurements=kept)


def unlabelled(pruned: float, quantized: float) -> Run:
    """The pruned recipe is the fastest; both answer like the original on so many percent."""
    kept = {PRUNED: pruned, QUANTIZED: quantized}
    rows = []
    for m in without_labels().measurements:
        if m.metric == "agreement":
            share = kept[m.candidate]
            m = replace(m, value=share, low=share - 0.3, high=min(100.0, share + 0.3))
        if m.metric == "latency_ratio" and m.candidate == PRUNED:
            m = replace(m, value=0.1, low=0.1, high=0.1, detail={"verdict": "faster"})
        rows.append(m)
    return run(measurements=tuple(rows))


def without_data() -> Run:
    kept = tuple(m for m in measurements() if "images" not in m.condition and m.metric != "top1")
    return run(spec=replace(run().spec, evaluation="", calibration=""), measurements=kept)


def refused() -> Run:
    """The one recipe made no model."""
    whole = run()
    gone = Outcome(RECIPES[2], None, None, "quantize_static needs calibration images")
    return replace(
        whole,
        spec=replace(whole.spec, recipes=(RECIPES[0], RECIPES[2])),
        outcomes=(whole.outcomes[0], gone),
    )


def unstable() -> Run:
    wide = {"status": Status.UNSTABLE, "reason": "the interval stayed 8 % wide"}
    rows = tuple(
        replace(m, low=m.value * 0.8, high=m.value * 1.3, **wide)
        if m.metric == "latency_ms" and m.value is not None
        else m
        for m in measurements()
    )
    return run(measurements=rows)


def hostile() -> Run:
    """Every text that a stranger can choose is an attack."""
    whole = run()
    recipes = tuple(replace(r, name=HOSTILE) if r.steps else r for r in RECIPES)
    outcomes = tuple(
        replace(o, recipe=r, candidate=replace(o.candidate, recipe=r))
        for o, r in zip(whole.outcomes, recipes, strict=True)
        if o.candidate is not None
    )
    rows = tuple(
        replace(m, reason=HOSTILE) if m.status is Status.FAILED else m for m in measurements()
    )
    return replace(
        whole,
        spec=replace(whole.spec, title=HOSTILE, recipes=recipes),
        model=replace(whole.model, name=HOSTILE, producer=HOSTILE),
        outcomes=outcomes,
        measurements=rows,
    )
