"""Prune real networks without training and print what is left of them, with time and memory.

    python -m benchmarks.structure --data-dir DIR [--only resnet20,others,time] [--images 512]

DIR holds `models/*.onnx` with `*.preprocess.json`, `cifar10_calibration.npz`, `cifar10_test.npz`,
and `imagenet_calibration200.zip`. Calibration uses no labels; top-1 is on images no fit has seen.
ResNet-20 rows have targets. The other networks are cut at 25 %: pruned and zero-masked graphs must
agree to 1e-4, and the error of the outputs relative to their variance is printed before and after
repair. `time` builds networks of the size of ResNet-20, ResNet-56 and ResNet-18 with random weights
and prints seconds and peak memory, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from core import data
from core import graph as graphs
from core.analysis.channels import channel_map
from core.analysis.cost import totals
from core.analysis.surgery import mask, remove
from core.calibration import Calibration, Probe
from core.calibration.services import NoServices
from core.passes.base import Graph, Report
from core.passes.prune_channels import PruneChannels

CIFAR = "cifar10_resnet20"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    target: float
    prune: PruneChannels


def macs_left(graph: Graph, millions: float) -> float:
    """The share that leaves so many million MACs."""
    return millions * 1e6 / totals(graph)[1]


def rows(graph: Graph) -> Iterator[Row]:
    """The rows of ResNet-20."""

    def allocated(millions: float, scope: str = "inner") -> PruneChannels:
        share = macs_left(graph, millions)
        return PruneChannels(budget="macs", target=share, scope=scope, multiple=1)

    yield Row("30 % inside blocks, uniform", 89.5, PruneChannels(ratio=0.3, multiple=1))
    yield Row("28 M MACs, allocated", 91.0, allocated(28.2))
    yield Row("20 M MACs, allocated", 86.5, allocated(20.2))
    yield Row("27 M MACs, streams included", 90.0, allocated(27.0, "all"))


class Bench:
    """The data folder and a scratch folder."""

    def __init__(self, folder: Path, scratch: Path, images: int) -> None:
        """Look at the folder."""
        self.folder, self.scratch, self.images = folder, scratch, images

    def graph(self, name: str) -> Graph:
        """A model by name."""
        return graphs.load(self.folder / "models" / f"{name}.onnx")

    def calibration(self, name: str, graph: Graph, source: str, seed: int = 0) -> Calibration:
        """Images drawn from an .npz or all of a zip, preprocessed as the model wants them."""
        path = self.folder / source
        if path.suffix == ".npz":
            images = np.load(path)["images"]
            chosen = np.random.default_rng(seed).permutation(len(images))[: self.images]
            path = self.scratch / f"{path.stem}-{seed}.npz"
            np.savez(path, images=images[np.sort(chosen)])
        admitted = data.admit(path, path.name, self.scratch / "data")
        return Calibration(admitted.path, graphs.input_specs(graph), self.preprocess(name))

    def preprocess(self, name: str) -> Any:
        """The model's preprocessing."""
        path = self.folder / "models" / f"{name}.preprocess.json"
        return data.read_preprocess(json.loads(path.read_text())) if path.exists() else None

    def top1(self, name: str, graph: Graph) -> float:
        """Accuracy on the test images, in percent."""
        stored = np.load(self.folder / "cifar10_test.npz")
        specs = graphs.input_specs(graph)
        path = self.scratch / "test.npz"
        np.savez(path, images=stored["images"])
        admitted = data.admit(path, "test.npz", self.scratch / "data")
        feeds = data.open_set(admitted.path).feeds(specs, self.preprocess(name), 100)
        out = graph.graph.outputs[0].name or ""
        probe = Probe(graph, [out])
        logits = np.concatenate([probe.run(f)[out] for f in feeds])[: len(stored["labels"])]
        return float(100 * (logits.argmax(1) == stored["labels"]).mean())


def resnet20(bench: Bench, name: str) -> None:
    """The rows with targets."""
    graph = bench.graph(name)
    print(f"\n{name}: top-1 {bench.top1(name, graph):.1f}, {totals(graph)[1] / 1e6:.1f} M MACs")
    statistics = bench.calibration(name, graph, "cifar10_calibration.npz")
    for row in rows(graph):
        pruned, report = graph.clone(), Report()
        start, cpu = time.perf_counter(), time.process_time()
        row.prune.apply(pruned, report, statistics)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        parameters, macs = totals(pruned)
        top1 = bench.top1(name, pruned)
        print(
            f"{row.name:30s} {macs / 1e6:6.2f} M {parameters / 1e3:6.0f} k  top-1 {top1:5.1f} "
            f"(>= {row.target}) {'ok' if top1 >= row.target else 'BELOW'}  "
            f"{wall:5.1f} s wall {cpu:5.1f} s CPU {peak():5.0f} MiB",
            flush=True,
        )


OTHERS = {
    "cifar10_densenet52_k12": "cifar10_calibration.npz",
    "cifar10_densenet52_k12_bn": "cifar10_calibration.npz",
    "cifar10_resnet20_bn": "cifar10_calibration.npz",
    "cifar10_resnet8_mlperftiny": "cifar10_calibration.npz",
    "imagenet_squeezenet1_1_caffe": "imagenet_calibration200.zip",
    "imagenet_mobilenet_v1_0.25": "imagenet_calibration200.zip",
    "imagenet_mobilenet_v1_0.25_bn": "imagenet_calibration200.zip",
    "imagenet_mobilenet_v2_1.0_tf2": "imagenet_calibration200.zip",
    "coco_yolox_nano": "imagenet_calibration200.zip",
    "face_ultraface_rfb320": "imagenet_calibration200.zip",
    "ocr_ppocr_cls_mbv3se": "",
    "sr_espcn_x3": "",
}


class Noise(NoServices):
    """Services for a network without images of its own: smooth random pictures."""

    count = 0

    def __init__(self, graph: Graph, count: int, sizes: dict[int, int]) -> None:
        """`sizes` are those of dynamic axes other than the batch."""
        super().__init__()
        self.count, self._value = count, graph.graph.inputs[0]
        dims = list(self._value.shape or [])
        self._shape = [d if isinstance(d, int) else sizes.get(a, 1) for a, d in enumerate(dims)]

    def feeds(self) -> Iterator[dict[str, Any]]:
        """A picture of blurred noise at a time."""
        for seed in range(self.count):
            random = np.random.default_rng(seed)
            small = random.normal(size=[*self._shape[:2], *(-(-d // 8) for d in self._shape[2:])])
            wide = small.repeat(8, 2).repeat(8, 3)[:, :, : self._shape[2], : self._shape[3]]
            yield {self._value.name or "": np.float32(wide)}

    def runner(self, graph: Graph, names: Any) -> Any:
        """ONNX Runtime."""
        return Probe(graph, names).run

    def activations(self, graph: Graph, names: Any) -> Iterator[dict[str, Any]]:
        """Values of named tensors."""
        run = self.runner(graph, [n for n in names if n != self._value.name])
        for feeds in self.feeds():
            yield run(feeds) | feeds


def error(original: Graph, pruned: Graph, feeds: list[dict[str, Any]]) -> float:
    """Squared error of the outputs relative to their variance, the mean over the outputs."""
    names = [v.name or "" for v in original.graph.outputs]
    runs = [Probe(g, names) for g in (original, pruned)]
    made = [[run.run(f) for f in feeds] for run in runs]
    found = []
    for name in names:
        a, b = (np.concatenate([m[name] for m in side]).astype(np.float64) for side in made)
        found.append(((a - b) ** 2).sum() / max(((a - a.mean(0)) ** 2).sum(), 1e-20))
    return float(np.mean(found))


def masked_difference(graph: Graph, prune: PruneChannels, feeds: list[dict[str, Any]]) -> float:
    """Largest difference between cut and zero-masked graph, relative to the largest output."""
    proto = ir.to_proto(graph)
    cut, zeroed = ir.from_proto(proto), ir.from_proto(proto)
    for twin, change in ((cut, remove), (zeroed, mask)):
        channels = channel_map(twin)
        chosen = prune.choose(channels, Report())
        change(channels, {a for picked in chosen.values() for a in picked})
    names = [v.name or "" for v in graph.graph.outputs]
    runs = [Probe(g, names) for g in (cut, zeroed)]
    worst = 0.0
    for f in feeds:
        a, b = (run.run(f) for run in runs)
        for n in names:
            worst = max(worst, float(np.abs(a[n] - b[n]).max() / max(np.abs(b[n]).max(), 1e-6)))
    return worst


def others(bench: Bench, only: str) -> None:
    """Every other architecture at 25 %."""
    print("\n25 % of every group, streams included: relative error of the outputs")
    for name, source in OTHERS.items():
        if only and only not in name:
            continue
        graph = bench.graph(name)
        start, cpu = time.perf_counter(), time.process_time()
        statistics: Any = (
            bench.calibration(name, graph, source)
            if source
            else Noise(graph, 64, {0: 1, 1: 3, 2: 48, 3: 192})
        )
        feeds = [f for f, _ in zip(statistics.feeds(), range(2), strict=False)]
        prune = PruneChannels(ratio=0.25, scope="all", multiple=1)
        difference = masked_difference(graph, prune, feeds)
        plain, repaired, report = graph.clone(), graph.clone(), Report()
        PruneChannels(ratio=0.25, scope="all", multiple=1, criterion="l1", repair=False).apply(
            plain, Report(), statistics
        )
        prune.apply(repaired, report, statistics)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        accuracy = ""
        if name.startswith("cifar10"):
            accuracy = f"top-1 {bench.top1(name, graph):.1f} -> {bench.top1(name, repaired):.1f}"
        print(
            f"{name:32s} MACs {totals(graph)[1] / 1e6:7.1f} -> {totals(repaired)[1] / 1e6:7.1f} M "
            f"pruned == masked {difference:.0e} {'ok' if difference < 1e-4 else 'WRONG'}  "
            f"error {error(graph, plain, feeds):.3f} (l1) {error(graph, repaired, feeds):.3f} "
            f"(obs, repaired) {accuracy} {wall:5.1f} s wall {cpu:5.1f} s CPU {peak():5.0f} MiB",
            flush=True,
        )


def peak() -> float:
    """Largest resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(blocks: list[int], widths: list[int], size: int, large: bool) -> Graph:
    """A residual network with random weights."""
    from tests.analysis.nets import Net

    net = Net({"x": ["N", 3, size, size]})
    x, inward = "x", widths[0]
    if large:
        x = net.add("Relu", net.conv(x, 3, inward, 7, strides=[2, 2], name="stem"))
        x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    else:
        x = net.add("Relu", net.conv(x, 3, inward, name="stem"))
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            name = f"s{stage}b{block}"
            y = net.conv(x, inward, width, strides=[stride] * 2, name=f"{name}a")
            y = net.conv(net.add("Relu", y), width, width, name=f"{name}b")
            if stride > 1:
                x = net.conv(x, inward, width, 1, strides=[2, 2], name=f"{name}s")
            x, inward = net.add("Relu", net.add("Add", x, y)), width
    flat = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.add("Gemm", flat, net.weight(10, inward), net.weight(10), transB=1))


SIZES = {
    "resnet20_size": ([3, 3, 3], [16, 32, 64], 32, False, 512),
    "resnet56": ([9, 9, 9], [16, 32, 64], 32, False, 512),
    "resnet18": ([2, 2, 2, 2], [64, 128, 256, 512], 224, True, 256),
}


def timed(name: str) -> None:
    """One network of the given size: seconds and memory of the first and of the next ratio."""
    *shape, images = SIZES[name]
    graph = build(*shape)  # type: ignore[arg-type]
    statistics: Any = Noise(graph, images, {0: 1})
    kept: dict[str, Any] = {}
    statistics.remember = lambda key, make: (
        kept.setdefault(key, None) or kept.update({key: make()}) or kept[key]
    )
    for turn, ratio in (("first", 0.3), ("next", 0.5)):
        start, cpu = time.perf_counter(), time.process_time()
        PruneChannels(ratio=ratio, multiple=1).apply(graph.clone(), Report(), statistics)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{name} {turn:5s} {wall:6.1f} s wall {cpu:6.1f} s CPU {peak():6.0f} MiB", flush=True)


def main() -> int:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", default="resnet20,others,time")
    parser.add_argument("--model", default="", help="only models whose name contains this")
    parser.add_argument("--images", type=int, default=512)
    options = parser.parse_args()
    asked = options.only.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.data_dir, Path(scratch), options.images)
        if "resnet20" in asked:
            resnet20(bench, CIFAR)
        if "others" in asked:
            others(bench, options.model)
    for name in SIZES:
        if name in asked:
            timed(name)
        elif "time" in asked:
            own = [sys.executable, "-m", "benchmarks.structure", "--only", name]
            subprocess.run([*own, "--data-dir", str(options.data_dir)], check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
