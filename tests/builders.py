"""Tiny graphs in onnx.parser text, with random weights; and what tests ask of any rewrite.

    net = graph(
        "(float[N,3,8,8] x) => (float[N,4,8,8] y) { y = Conv <pads=[1,1,1,1]> (x, w) }",
        w=(4, 3, 3, 3),
    )

A weight is a tuple (its shape; the numbers are random) or an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from core import graph as graphs
from core.calibration import Probe
from core.calibration.services import NoServices, Services, Tensors
from core.graph import Graph
from core.passes.base import Pass
from core.pipeline import runner
from core.records import Recipe, StepReport
from core.wording import sentence

SIZES = {"N": 2, "H": 6, "W": 7}
IR_VERSIONS = {25: 12, 24: 11, 23: 11, 21: 10}


def graph(
    text: str, opset: int = 17, place: str = "initializer", domains: str = "", **weights: Any
) -> Graph:
    """The graph that `text` describes, as `core.graph.load` would give it.

    Args:
        text: `(inputs) => (outputs) { nodes }`, functions behind it if need be.
        opset: of the standard operators.
        place: where weights lie: "initializer", "constant" (a Constant node) or "identity" (an
            initializer behind an Identity node).
        domains: further opset imports, for example `"my.domain" : 1`.
        weights: name -> shape, or array.
    """
    ir_version = next((v for first, v in IR_VERSIONS.items() if opset >= first), 8)
    more = f", {domains}" if domains else ""
    head = f'<ir_version: {ir_version}, opset_import: ["" : {opset}{more}]> net '
    proto = onnx.parser.parse_model(head + text)
    random = np.random.default_rng(5)
    for name, given in weights.items():
        _add_weight(proto.graph, name, _array(given, random), place)
    found = graphs.parse(proto.SerializeToString(), "the test's net")
    graphs.infer_shapes(found)
    return found


def _array(given: Any, random: np.random.Generator) -> np.ndarray:
    if isinstance(given, tuple):
        fan_in = max(int(np.prod(given[1:])), 1)
        return (random.normal(size=given) / np.sqrt(fan_in)).astype(np.float32)
    array = np.asarray(given)
    return array.astype(np.float32) if isinstance(given, list | float) else array


def _add_weight(proto: onnx.GraphProto, name: str, array: np.ndarray, place: str) -> None:
    stored = name if place != "identity" else f"{name}_stored"
    tensor = numpy_helper.from_array(array, stored)
    if place == "constant":
        proto.node.insert(0, onnx.helper.make_node("Constant", [], [name], value=tensor))
        return
    proto.initializer.append(tensor)
    if place == "identity":
        proto.node.insert(0, onnx.helper.make_node("Identity", [stored], [name]))


def norm(channels: int, prefix: str = "") -> dict[str, np.ndarray]:
    """Parameters of a batch norm: s (scale), t (shift), m (mean), v (variance)."""
    random = np.random.default_rng(channels)
    return {
        f"{prefix}s": random.uniform(0.5, 2.0, channels).astype(np.float32),
        f"{prefix}t": random.normal(size=channels).astype(np.float32),
        f"{prefix}m": random.normal(size=channels).astype(np.float32),
        f"{prefix}v": random.uniform(0.3, 2.0, channels).astype(np.float32),
    }


def feeds(net: Graph, seed: int = 3) -> Tensors:
    """Random inputs for `net`; dynamic dimensions get SIZES."""
    random = np.random.default_rng(seed)
    found: Tensors = {}
    for spec in graphs.input_specs(net):
        shape = [d if isinstance(d, int) else SIZES.get(d, 2) for d in spec.shape]
        kind = np.dtype(spec.dtype)
        made = random.normal(size=shape) if kind.kind == "f" else random.integers(0, 2, shape)
        found[spec.name] = np.asarray(made).astype(kind)
    return found


def run(net: Graph, given: Tensors | None = None) -> list[np.ndarray]:
    """Outputs on ONNX Runtime without its own rewriting, so that only the graph speaks."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graphs.serialize(net), options)
    return session.run(None, feeds(net) if given is None else given)


def rewrite(net: Graph, *passes: Pass, data: Services | None = None) -> tuple[Graph, StepReport]:
    """What the runner makes of a copy of `net`, verified, and the report of the last pass."""
    recipe = Recipe("test", tuple(one.step() for one in passes))
    made, reports = runner.apply(net, recipe, data)
    for report in reports:
        assert not report.reverted, report.reverted
    return made, reports[-1]


def refused(net: Graph, one: Pass, data: Services | None = None) -> str:
    """Why the runner undid `one` on `net`."""
    made, (report,) = runner.apply(net, Recipe("test", (one.step(),)), data)
    assert report.reverted
    assert graphs.serialize(made) == graphs.serialize(net)
    return report.reverted


def same(before: Graph, after: Graph, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Hold `after` to the outputs of `before`, in values, shapes and types."""
    given = feeds(before)
    for wanted, got in zip(run(before, given), run(after, given), strict=True):
        assert wanted.dtype == got.dtype
        assert wanted.shape == got.shape
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


def kinds(net: Graph) -> list[str]:
    """Operators in the order of the graph, bodies included."""
    return [node.op_type for inner in graphs.all_graphs(net) for node in inner]


def skips(report: StepReport) -> dict[str, str]:
    """Node -> why it was left alone."""
    return {skip.node: sentence(skip.reason) for skip in report.skipped}


def weights_of(net: Graph) -> Mapping[str, np.ndarray]:
    """Initializers of the main graph by name."""
    return {name: value.const_value.numpy() for name, value in net.graph.initializers.items()}


def sqnr_db(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Signal to quantization noise over all outputs, in dB."""
    signal = sum(float((a.astype(np.float64) ** 2).sum()) for a in wanted)
    pairs = zip(wanted, got, strict=True)
    noise = sum(float(((a.astype(np.float64) - b) ** 2).sum()) for a, b in pairs)
    return float("inf") if noise == 0 else 10 * float(np.log10(signal / noise))


class Images(NoServices):
    """Calibration data made up from the inputs of a graph; counts how it is read."""

    def __init__(
        self, net: Graph, batches: int = 4, spoil: Callable[[Tensors], None] | None = None
    ):
        super().__init__()
        self.net, self.batches, self.spoil = net, batches, spoil
        self.reads = 0

    @property
    def count(self) -> int:
        return self.batches * SIZES["N"]

    def feeds(self) -> Iterator[Tensors]:
        self.reads += 1
        for seed in range(self.batches):
            given = feeds(self.net, seed)
            if self.spoil:
                self.spoil(given)
            yield given

    def activations(self, net: Graph, names: Sequence[str]) -> Iterator[Tensors]:
        probe = Probe(net, [name for name in names if name not in feeds(self.net)])
        for given in self.feeds():
            yield probe.run(given) | {k: v for k, v in given.items() if k in names}

    def runner(self, net: Graph, names: Sequence[str]) -> Callable[[Tensors], Tensors]:
        return Probe(net, names).run
