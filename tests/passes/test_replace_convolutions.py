"""Replacing convolutions: the product is what the layer was, what is left alone and why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.analysis import cost
from core.analysis.layer_signatures import STEPS, signatures
from core.calibration import Probe
from core.calibration.services import NoServices
from core.compress.decomposition.forms import CHOICES, FORMS
from core.errors import PassPrecondition
from core.passes.base import Report
from core.passes.replace_convolutions import ReplaceConvolutions
from core.records import Target
from core.timings import LayerTime, LayerTimes
from core.wording import sentence, sentences
from tests.analysis.nets import Net, head, image, residual
from tests.calibration.fake_services import FakeServices

RNG = np.random.default_rng(3)


class Images(FakeServices):
    """Calibration data made up for a graph with one input, a few images at a time."""

    def __init__(self, graph: ir.Model, count: int = 48, times: LayerTimes | None = None) -> None:
        super().__init__()
        (value,) = graph.graph.inputs
        shape = [d if isinstance(d, int) else 1 for d in value.shape][1:]
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((count, *shape)).astype(np.float32)
        self.name, self.timings, self.count, self.batch = value.name, times, count, 8

    def feeds(self):
        for start in range(0, self.count, 8):
            yield {self.name: self.images[start : start + 8]}

    def runner(self, graph, names):
        return Probe(graph, [n for n in names if n != self.name]).run


def wide(**changes) -> ir.Model:
    """Two convolutions worth replacing, one behind the other, and a shortcut around the second."""
    net = image(channels=4)
    a = net.add("Relu", net.conv("x", 4, 16, name="a"))
    b = net.conv(a, 16, 16, name="b", **changes)
    if changes.get("strides", [1, 1]) == [1, 1]:
        b = net.add("Add", b, a)
    return head(net, net.add("Relu", b), 16)


def run(graph: ir.Model, x: np.ndarray) -> np.ndarray:
    name = graph.graph.inputs[0].name
    return next(iter(Probe(graph, [graph.graph.outputs[0].name]).run({name: x}).values()))


def replaced(graph: ir.Model, statistics=None, **options) -> Report:
    report = Report()
    chosen = {"multiple": 2, "tolerance": 1.0} | options
    ReplaceConvolutions(**chosen).apply(graph, report, statistics or NoServices())
    graphs.check(graph)
    return report


def reasons(report: Report) -> dict[str, str]:
    return {skip.node: sentence(skip.reason) for skip in report.skipped}


@pytest.mark.parametrize("name", CHOICES)
def test_refitted_replacements_come_near_the_original_at_fewer_macs(name: str):
    model = wide()
    images = Images(model)
    before, macs = run(model, images.images), cost.totals(model)[1]
    blind = model.clone()
    replaced(blind, form=name, speedup=1.4)
    report = replaced(model, images, form=name, speedup=1.4)
    assert report.changed
    assert cost.totals(model)[1] <= macs / 1.4
    off = ((run(model, images.images) - before) ** 2).mean()
    assert off < ((run(blind, images.images) - before) ** 2).mean()


def test_the_report_says_before_and_after_of_each_layer():
    model = wide()
    report = replaced(model, Images(model), speedup=1.4)
    lines = [note for note in sentences(report.notes) if note.startswith(("a:", "b:"))]
    assert len(lines) == report.changed
    orders = ("became k x 1 and 1 x k, rank", "became 1 x k and k x 1, rank")
    assert all(any(order in line for order in orders) for line in lines)
    assert "M MACs" in sentences(report.notes)[0]


def test_without_images_it_says_what_is_lost():
    report = replaced(wide(), speedup=1.4)
    assert any("nothing was refitted" in note for note in sentences(report.notes))


def test_a_second_time_changes_nothing_more():
    model = wide()
    images = Images(model)
    replaced(model, images, speedup=1.4)
    written = graphs.serialize(model)
    report = replaced(model, images, speedup=1.0)
    assert graphs.serialize(model) == written
    assert report.changed == 0
    assert reasons(report)["b_1"] == "its kernel is a single row or column already"


def test_a_kernel_that_two_layers_share_stays_whole_for_the_other():
    net = image(channels=4)
    shared = net.weight(16, 16, 3, 3)
    x = net.conv("x", 4, 16, name="stem")
    a = net.add("Conv", x, shared, name="a", pads=[1] * 4)
    b = net.add("Conv", a, shared, name="b", pads=[1] * 4)
    model = head(net, b, 16)
    graphs.infer_shapes(model)
    before = {n.name: n for n in model.graph}["b"].inputs[1].const_value.numpy().copy()
    report = replaced(model, speedup=1.2, exclude=("b", "stem"))
    assert report.changed == 1
    after = {n.name: n for n in model.graph}["b"].inputs[1].const_value.numpy()
    np.testing.assert_array_equal(after, before)


def test_weights_in_constant_nodes_and_a_batch_norm_behind():
    net = image(channels=4)
    x = net.conv("x", 4, 16, name="stem")
    weight = RNG.standard_normal((16, 16, 3, 3)).astype(np.float32) / 12
    made = net.add("Constant", name="k", value=onnx_tensor(weight))
    x = net.add("Conv", x, made, name="a", pads=[1] * 4)
    scale = [net.weight(16) for _ in range(3)]
    x = net.add("BatchNormalization", x, *scale, net.const(np.ones(16)))
    model = head(net, net.add("Relu", x), 16)
    graphs.infer_shapes(model)
    images = Images(model)
    before = run(model, images.images)
    report = replaced(model, images, speedup=1.3, exclude=("stem",))
    assert report.changed == 1
    assert "k" not in {node.name for node in model.graph}
    after = run(model, images.images)
    assert ((after - before) ** 2).mean() < before.var()


def onnx_tensor(array):
    from onnx import numpy_helper

    return numpy_helper.from_array(array)


def skipped(build) -> str:
    net = image(channels=4)
    model = head(net, build(net), 8)
    graphs.infer_shapes(model)
    return reasons(replaced(model, speedup=2.0))["layer"]


SKIPS = {
    "depthwise already": lambda net: net.conv(
        net.conv("x", 4, 8, k=1), 8, 8, group=8, name="layer"
    ),
    "2 groups": lambda net: net.conv("x", 4, 8, group=2, name="layer"),
    "1 x 1": lambda net: net.conv("x", 4, 8, k=1, name="layer"),
    "single row or column": lambda net: net.add(
        "Conv", "x", net.weight(8, 4, 3, 1), name="layer", pads=[1, 0, 1, 0]
    ),
    "transposed": lambda net: net.add(
        "ConvTranspose", "x", net.weight(4, 8, 3, 3), name="layer", pads=[1] * 4
    ),
    "computed while the model runs": lambda net: net.add(
        "Conv", "x", net.add("Add", net.weight(8, 4, 3, 3), net.add("ReduceMean", "x",
        keepdims=0)), name="layer", pads=[1] * 4
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", SKIPS)
def test_what_is_left_alone_and_why(reason: str):
    assert reason in skipped(SKIPS[reason])


def test_one_spatial_axis_is_left_alone():
    net = Net({"x": ["N", 4, 12]})
    x = net.add("Conv", "x", net.weight(8, 4, 3), name="layer", pads=[1, 1])
    model = net.model(net.add("Relu", x))
    assert "spatial axes" in reasons(replaced(model))["layer"]


def test_excluded_and_misspelt_names():
    report = replaced(wide(), speedup=1.4, exclude=("a", "nothing"))
    assert reasons(report)["a"] == "left alone as asked"
    assert reasons(report)["nothing"] == "no convolution has this name"


def test_an_unknown_size_asks_to_freeze():
    net = Net({"x": ["N", 4, "H", "W"]})
    x = net.conv("x", 4, 8, name="layer")
    model = net.model(x)
    assert "freeze" in reasons(replaced(model))["layer"]


def test_tolerance_keeps_layers_that_would_change_too_much():
    model = wide()
    report = replaced(model, Images(model), speedup=1.4, tolerance=0.0)
    assert report.changed == 0
    assert "by more than 0%" in reasons(report)["b"]


def test_the_multiple_aligns_the_ranks():
    for multiple in (2, 8):
        model = wide()
        replaced(model, speedup=1.5, multiple=multiple)
        made = [n for n in model.graph if n.op_type == "Conv" and n.name.endswith("_0")]
        ranks = [n.inputs[1].shape[0] for n in made]
        assert ranks
        assert all(rank % multiple == 0 for rank in ranks)


def test_more_speed_up_is_fewer_macs():
    macs = []
    for speedup in (1.0, 1.3, 1.6):
        model = wide()
        replaced(model, speedup=speedup)
        macs.append(cost.totals(model)[1])
    assert macs[0] > macs[1] > macs[2]


def test_bytes_shrink_where_they_are_the_budget():
    model = wide()
    before = sum(layer.size_bytes for layer in cost.layers(model))
    report = replaced(model, speedup=1.5, budget="bytes")
    after = sum(layer.size_bytes for layer in cost.layers(model))
    assert after <= before / 1.5
    assert "MB" in sentences(report.notes)[0]


def test_an_unreachable_budget_is_said():
    report = replaced(wide(), speedup=10.0, tolerance=1.0)
    assert any("was not reached" in note for note in sentences(report.notes))


def test_latency_needs_times():
    with pytest.raises(PassPrecondition, match="measured layer times"):
        replaced(wide(), budget="latency")


def times(model: ir.Model, fast: str) -> LayerTimes:
    """A table in which only replacements of the layers named `fast` are faster."""
    rows = {}
    for node, layer in signatures(model).items():
        rows[(layer,)] = LayerTime((layer,), 10.0)
        for form in FORMS.values():
            if len(layer.kernel) == 2:
                for rank in form.ranks(layer, 2, STEPS):
                    chain = form.chain(layer, rank)
                    seconds = 4.0 if node.name == fast else 20.0
                    rows[chain] = LayerTime(chain, seconds)
    return LayerTimes(Target("h", "b", "1", "f32", 1), tuple(rows.values()))


def test_by_latency_only_what_was_measured_faster_is_replaced():
    model = wide()
    graphs.infer_shapes(model)
    table = times(model, fast="b")
    report = replaced(model, Images(model, times=table), budget="latency", speedup=1.2)
    assert report.changed == 1
    assert "measured faster" in reasons(report)["a"]
    assert any(note.startswith("b:") and "us" in note for note in sentences(report.notes))


def test_by_latency_what_was_not_timed_stays():
    model = wide()
    empty = LayerTimes(Target("h", "b", "1", "f32", 1))
    report = replaced(model, NoServices(empty), budget="latency")
    assert report.changed == 0
    assert "not timed" in reasons(report)["a"]


def test_nothing_to_replace_says_so():
    net = image(channels=4)
    report = replaced(head(net, net.conv("x", 4, 8, k=1), 8))
    assert report.changed == 0
    assert "nothing was changed" in sentences(report.notes)[0]


def test_a_real_shortcut_keeps_its_shapes():
    model = residual()
    x = RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)
    shape = run(model, x).shape
    replaced(model, speedup=1.3)
    assert run(model, x).shape == shape


def test_preview_counts_at_once_and_is_a_bound():
    model = wide()
    macs = cost.totals(model)[1]
    report = Report()
    assert not ReplaceConvolutions(multiple=2).preview(model, report)
    assert report.changed
    assert cost.totals(model)[1] < macs


def test_a_second_speed_up_on_the_same_images_learns_nothing_anew():
    model = wide()
    images = Images(model)
    runs = []
    plain = images.runner
    images.runner = lambda graph, names: (runs.append(tuple(names)), plain(graph, names))[1]
    replaced(model.clone(), images, speedup=1.2)
    first = len(runs)
    replaced(model.clone(), images, speedup=1.4)
    assert len(runs) - first < first
