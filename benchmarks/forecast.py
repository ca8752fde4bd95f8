"""How far the forecast of a cut is from what the cut costs, and the slack that this asks for.

    python -m benchmarks.forecast --data-dir DIR [--rows FILE] [--only resnet,mobile] [--fit-only]

Each network is pruned and repaired at several ratios, alike in every group and by a budget of MACs,
with the calibration images of the app; agreement with the original is counted on evaluation images
that no fit has seen. `--rows` keeps what was measured: what stands there is not measured again.

A name with a `+` is a network with another end: `+sigmoid`, `+softmax`, or `+nms`, where the
classifier is put on every place of its last map and the boxes of the places are fixed. Answers are
those of `core.pipeline.sensitivity.answers`.

The forecast adds up the measured effects of single cuts: a sum S of errors. What the cut really
cost is put on the same scale: the error e at which the network's own tolerance gives the agreement
that was counted. The quotients e / S are the slack; its low, middle and high are the 5th, 50th and
95th percentile over all networks, each weighted alike. Coverage is counted on each network with the
slack fitted on the others only; networks with another end are twins of one and take no part in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from core import data
from core import graph as graphs
from core.analysis.decisions import decisions, undecided
from core.calibration import Calibration, Probe
from core.passes.base import Graph
from core.pipeline import runner
from core.pipeline.sensitivity import answers, sensitivity
from core.records import Cut, Recipe, Sensitivity, Step, from_json, to_json
from core.runs.forecast import SLACK, agreement, summed

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
QUANTILES = (0.05, 0.5, 0.95)
SAMPLES = Path(__file__).parents[1] / "sample_models"
PAIRS = {
    "sample": ("calibration.zip", "evaluation.zip"),
    "cifar10": ("cifar10_calibration.npz", "cifar10_test.npz"),
    "imagenet": ("imagenet_calibration200.zip", "imagenet_dev200.zip"),
}
POOLS = ("GlobalAveragePool", "ReduceMean", "AveragePool")
SIDE = 8  # of the last map of the networks that become detectors
NETS = {
    "plain": "sample",
    "plain_bn": "sample",
    "resnet": "sample",
    "mobile": "sample",
    "cifar10_resnet8_mlperftiny": "cifar10",
    "cifar10_resnet20": "cifar10",
    "imagenet_mobilenet_v1_0.25": "imagenet",
    "imagenet_squeezenet1_1_caffe": "imagenet",
    "cifar10_resnet20+nms": "cifar10",
    "resnet+sigmoid": "sample",
    "imagenet_mobilenet_v1_0.25+softmax": "imagenet",
}


@dataclass(frozen=True)
class Row:
    """One cut: what was expected and what it cost.

    Attributes:
        net, mode, ratio: which cut; mode is "uniform" or "budget".
        summed: the errors of its groups cut alone, added up.
        tolerance: of the network: (error, percent of answers kept).
        agreement: percent of evaluation images with the original's answer.
        images: evaluation images.
    """

    net: str
    mode: str
    ratio: float
    summed: float
    tolerance: tuple[tuple[float, float], ...]
    agreement: float
    images: int

    @property
    def slack(self) -> float:
        """The error that this agreement stands for, as a share of the sum."""
        return equivalent(self.agreement, self.tolerance) / max(self.summed, 1e-12)


def equivalent(percent: float, tolerance: Sequence[tuple[float, float]]) -> float:
    """The error at which a network keeps so many percent of its answers."""
    points = [(0.0, 100.0), *tolerance]
    answers = np.minimum.accumulate([a for _, a in points])
    return float(np.interp(-percent, -answers, [e for e, _ in points]))


class Net:
    """A network with its images."""

    def __init__(self, name: str, folder: Path, scratch: Path, images: int) -> None:
        """Read everything; `images` is how many are evaluated at most."""
        kind = NETS[name]
        home = SAMPLES if kind == "sample" else folder / "models"
        where = SAMPLES if kind == "sample" else folder
        self.name = name
        stem, _, ending = name.partition("+")
        self.graph = ended(graphs.load(home / f"{stem}.onnx"), ending)
        about = json.loads((home / f"{stem}.preprocess.json").read_text())
        specs, preprocess = graphs.input_specs(self.graph), data.read_preprocess(about)
        graphs.set_preprocess(self.graph, preprocess)
        sets = [data.admit(where / file, file, scratch / "data") for file in PAIRS[kind]]
        self.statistics = Calibration(sets[0].path, specs, preprocess)
        tested = data.open_set(sets[1].path)
        self.count = min(images, tested.count)
        self.feeds = lambda: tested.feeds(specs, preprocess, 50, range(self.count))
        folds = any(node.op_type == "BatchNormalization" for node in self.graph.graph)
        self.before = (Step("fold_batch_norm"),) if folds else ()

    def answers(self, graph: Graph) -> Any:
        """What the network says of each evaluation image."""
        deciding = decisions(graph)[0]
        name = deciding.value.name or ""
        probe = Probe(undecided(graph), [name])
        rows = np.concatenate([probe.run(feeds)[name] for feeds in self.feeds()])
        found = answers(rows[: self.count], deciding)
        if found is None:
            raise SystemExit(f"{self.name} answers with no class")
        return found

    def known(self) -> Sensitivity:
        """What the app knows before anything is cut."""
        folded, _, _ = runner.preview(self.graph, Recipe("before", self.before))
        return sensitivity(folded, self.statistics)

    def cut(self, step: Step) -> tuple[Graph, tuple[Cut, ...]]:
        """Pruned and repaired, as the app does it."""
        recipe = Recipe("cut", (*self.before, step))
        graph, reports = runner.apply(self.graph, recipe, self.statistics)
        if reports[-1].reverted:
            raise SystemExit(f"{self.name}: {reports[-1].reverted}")
        return graph, reports[-1].cuts


def ended(graph: Graph, ending: str) -> Graph:
    """The network with this behind its logits; as it is where there is nothing to put."""
    if not ending:
        return graph
    proto = ir.to_proto(graph) if ending != "nms" else detecting(graph)
    last = proto.graph.output[0]
    if ending != "nms":
        op = {"softmax": "Softmax", "sigmoid": "Sigmoid"}[ending]
        proto.graph.node.append(onnx.helper.make_node(op, [last.name], ["ended"], name="ended"))
        last.name = "ended"
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def detecting(graph: Graph) -> onnx.ModelProto:
    """A classifier of pooled maps as a detector: its last layer on each place, then NMS."""
    proto = ir.to_proto(graph)
    pool = next(i for i, n in enumerate(proto.graph.node) if n.op_type in POOLS)
    last = [n for n in proto.graph.node[pool:] if n.op_type == "Gemm"][-1]
    weights = {t.name: t for t in proto.graph.initializer}
    turned = any(a.name == "transB" and a.i for a in last.attribute)
    matrix = onnx.numpy_helper.to_array(weights[last.input[1]])
    matrix = matrix if turned else matrix.T
    places = np.stack(np.meshgrid(*[np.arange(SIDE)] * 2, indexing="ij"), -1).reshape(1, -1, 2)
    constants = {
        "per_place": np.ascontiguousarray(matrix[:, :, None, None]),
        "rows": np.array([0, len(matrix), -1]),
        "boxes": np.concatenate([places, places + 1], 2).astype(np.float32),
        "axis": np.array([0]),
        "rest": np.array([SIDE * SIDE, 4]),
        "most": np.array([20]),
    }
    source, bias = proto.graph.node[pool].input[0], last.input[2]
    del proto.graph.node[pool:], proto.graph.output[:]
    make = onnx.helper.make_node
    proto.graph.node.extend(
        [
            make("Conv", [source, "per_place", bias], ["maps"], name="scores"),
            make("Reshape", ["maps", "rows"], ["logits"]),
            make("Sigmoid", ["logits"], ["probable"]),
            make("Shape", [source], ["sizes"], start=0, end=1),
            make("Concat", ["sizes", "rest"], ["wanted"], axis=0),
            make("Expand", ["boxes", "wanted"], ["everywhere"]),
            make("NonMaxSuppression", ["everywhere", "probable", "most"], ["picked"], name="nms"),
        ]
    )
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()
    )
    kind = onnx.TensorProto.INT64
    proto.graph.output.append(onnx.helper.make_tensor_value_info("picked", kind, [None, 3]))
    return proto


def steps() -> Iterator[tuple[str, float, Step]]:
    """Every cut of a network."""
    for ratio in RATIOS:
        yield "uniform", ratio, Step("prune_channels", {"ratio": ratio})
        target = {"budget": "macs", "target": round(1 - ratio, 2)}
        yield "budget", ratio, Step("prune_channels", target)


def collect(net: Net, done: set[tuple[str, str, float]]) -> Iterator[Row]:
    """The rows of a network that are not there yet."""
    missing = [cut for cut in steps() if (net.name, *cut[:2]) not in done]
    if not missing:
        return
    known, first = net.known(), net.answers(net.graph)
    for mode, ratio, step in missing:
        begun = time.perf_counter()
        graph, cuts = net.cut(step)
        total = summed(cuts, known)
        if total is None:
            raise SystemExit(f"{net.name}: a cut group has no measured effect")
        kept = float(100 * (net.answers(graph) == first).mean())
        row = Row(net.name, mode, ratio, total, known.tolerance, kept, net.count)
        seconds = time.perf_counter() - begun
        print(f"{line(row)}  {seconds:5.1f} s", file=sys.stderr, flush=True)
        yield row


def fitted(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Quantiles of the slack, each network weighted alike; a cut of nothing says nothing."""
    told = [row for row in rows if row.summed > 0]
    counts = {net: sum(row.net == net for row in told) for net in {row.net for row in told}}
    ordered = sorted((row.slack, 1 / counts[row.net]) for row in told)
    weights = np.cumsum([w for _, w in ordered]) / len(counts)
    slacks = np.array([s for s, _ in ordered])
    low, middle, high = (float(slacks[np.searchsorted(weights, q)]) for q in QUANTILES)
    return low, middle, high


def inside(row: Row, slack: Sequence[float]) -> bool:
    """Whether what was counted lies in the forecast's interval."""
    high, _, low = (agreement(row.summed * s, row.tolerance) for s in slack)
    return low - 1e-9 <= row.agreement <= high + 1e-9


def line(row: Row) -> str:
    """A row in words."""
    return (
        f"{row.net:30s} {row.mode:8s} {row.ratio:.1f}  sum {row.summed:8.4f}  "
        f"agreement {row.agreement:5.1f} %  slack {row.slack:6.3f}"
    )


def report(rows: Sequence[Row], set_now: Sequence[float]) -> None:
    """The table, the fit, and its coverage on networks that it did not see."""
    cut = [row for row in rows if row.summed > 0]
    nets = list(dict.fromkeys(row.net for row in cut))
    print("network                         cuts  slack 5/50/95 %          covered  width  set now")
    held: list[bool] = []
    for net in nets:
        mine = [r for r in cut if r.net == net]
        others = [r for r in cut if "+" not in r.net and r.net != net.partition("+")[0]]
        slack = fitted(others) if others else fitted(mine)
        found = [inside(row, slack) for row in mine]
        own = "/".join(f"{s:.2f}" for s in fitted(mine))
        now = np.mean([inside(row, set_now) for row in mine])
        wide = np.median([width(row, slack) for row in mine])
        print(f"{net:30s} {len(mine):5d}  {own:22s} {np.mean(found):8.0%} {wide:6.1f} {now:8.0%}")
        held += found if "+" not in net else []
    own = [r for r in cut if "+" not in r.net] or cut
    words = "/".join(f"{s:.3g}" for s in fitted(own))
    before = np.mean([inside(row, set_now) for row in own])
    print(f"all: {len(own)} cuts, slack {words}")
    print(f"covered on networks not used for the fit: {np.mean(held):.0%}; by the slack in the")
    print(f"code ({'/'.join(f'{s:.3g}' for s in set_now)}): {before:.0%}")


def width(row: Row, slack: Sequence[float]) -> float:
    """Of the interval, in points."""
    high, _, low = (agreement(row.summed * s, row.tolerance) for s in slack)
    return high - low


def main() -> int:
    """Measure what is missing, fit, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--rows", type=Path, help="JSON lines of what was measured; added to")
    parser.add_argument("--only", default="", help="networks, separated by commas")
    parser.add_argument("--images", type=int, default=1000, help="evaluated at most")
    parser.add_argument("--fit-only", action="store_true")
    asked = parser.parse_args()
    rows: list[Row] = []
    if asked.rows and asked.rows.exists():
        rows = [from_json(Row, json.loads(text)) for text in asked.rows.read_text().splitlines()]
    wanted = [n for n in NETS if not asked.only or n in asked.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        for name in [] if asked.fit_only else wanted:
            net = Net(name, asked.data_dir, Path(scratch), asked.images)
            for row in collect(net, {(r.net, r.mode, r.ratio) for r in rows}):
                rows.append(row)
                if asked.rows:
                    with asked.rows.open("a") as file:
                        file.write(json.dumps(to_json(row)) + "\n")
    report(rows, SLACK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
