"""Channel pruning: the cut graph computes what the zero-masked one computes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from core.analysis.channels import channel_map
from core.analysis.cost import totals
from core.analysis.layer_signatures import signatures
from core.analysis.surgery import mask, remove
from core.calibration.services import NoServices
from core.compress.pruning import costs
from core.errors import PassPrecondition
from core.passes.base import Report
from core.passes.prune_channels import PruneChannels
from core.records import Target
from core.timings import LayerTime, LayerTimes
from core.wording import sentence, sentences
from tests import builders
from tests.analysis.nets import NETS, SIZE, head, image, residual
from tests.compress.refit.images import Pictures, error


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(content, options).run(None, feeds)


def feeds_of(model: ir.Model) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    sizes = {"N": 2, "H": 8, "W": 12}
    return {
        v.name: random.normal(
            size=[d if isinstance(d, int) else sizes[d.value] for d in v.shape]
        ).astype(np.float32)
        for v in model.graph.inputs
    }


def twins(model: ir.Model, prune: PruneChannels) -> tuple[ir.Model, ir.Model, set[int]]:
    """(pruned, masked, atoms): the same atoms cut in one copy and zeroed in another."""
    proto = ir.to_proto(model)
    cut, zeroed = ir.from_proto(proto), ir.from_proto(copy.deepcopy(proto))
    channels = channel_map(zeroed)
    chosen = prune.choose(channels, Report())
    atoms = {a for picked in chosen.values() for a in picked}
    mask(channels, atoms)
    prune.apply(cut, Report(), NoServices())
    return cut, zeroed, atoms


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_pruned_equals_masked(name, ratio):
    model = NETS[name][0]()
    feeds = feeds_of(model)
    pruned, masked, atoms = twins(model, PruneChannels(ratio=ratio, scope="all", multiple=1))
    assert atoms
    onnx.checker.check_model(ir.to_proto(pruned), full_check=True)
    for expected, got in zip(run(masked, feeds), run(pruned, feeds), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_masking_changes_the_output_so_the_comparison_can_fail(name):
    model = NETS[name][0]()
    feeds = feeds_of(model)
    _, masked, _ = twins(model, PruneChannels(ratio=0.5, scope="all", multiple=1))
    original = run(model, feeds)
    assert any(
        np.abs(a - b).max() > 1e-3 for a, b in zip(original, run(masked, feeds), strict=True)
    )


@pytest.mark.parametrize("name", NETS)
def test_the_layers_that_can_be_pruned_are_found(name):
    build, expected = NETS[name]
    channels = channel_map(build())
    free = {layer for g in channels.groups if not g.frozen for layer in g.layers}
    assert free == expected
    assert all(g.frozen for g in channels.groups if not set(g.layers) & expected)


def prune(model: ir.Model, **options: object) -> Report:
    report = Report()
    PruneChannels(**options).apply(model, report, NoServices())
    return report


def widths(model: ir.Model) -> dict[str, int]:
    return {n.name: n.inputs[1].const_value.shape[0] for n in model.graph if n.op_type == "Conv"}


def bytes_of(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", NETS)
def test_ratio_zero_changes_nothing(name):
    model = NETS[name][0]()
    before = bytes_of(model)
    report = prune(model, ratio=0.0, scope="all", multiple=8)
    assert bytes_of(model) == before
    assert report.changed == 0
    assert "Nothing was removed" in sentences(report.notes)[0]


def test_inner_leaves_the_residual_stream_and_says_so():
    model = residual()
    report = prune(model, ratio=0.5, multiple=1)
    assert widths(model) == {"stem": 16, "a": 6, "b": 16}
    assert ("stem, b", "part of a residual stream; the scope is inner") in [
        (s.node, sentence(s.reason)) for s in report.skipped
    ]
    assert sentences(report.notes)[0].startswith(
        "6 of 12 channels removed (50%) from 1 of 1 groups"
    )
    assert sentences(report.notes)[1] == "a: 12 -> 6"


def test_all_cuts_the_stream_in_every_layer_at_once():
    model = residual()
    prune(model, ratio=0.5, scope="all", multiple=1)
    assert widths(model) == {"stem": 8, "a": 6, "b": 8}


def test_kept_channels_are_a_multiple_and_narrow_groups_stay_whole():
    net = image()
    x = net.conv("x", 3, 40, name="wide")
    x = net.conv(x, 40, 8, name="narrow")
    model = head(net, net.conv(x, 8, 16, name="last"), 16)
    report = prune(model, ratio=0.3, multiple=8)
    assert widths(model) == {"wide": 32, "narrow": 8, "last": 8}  # 28 -> 32, 11.2 -> 8
    reasons = {s.node: sentence(s.reason) for s in report.skipped}
    assert reasons["narrow"] == "keeps its 8 channels: rounded to a multiple of 8"


def test_excluded_layers_keep_their_weights():
    model = residual()
    before = {n.name: n.inputs[1].const_value.numpy() for n in model.graph if n.op_type == "Conv"}
    report = Report()
    with pytest.raises(PassPrecondition, match="left alone as asked"):
        PruneChannels(ratio=0.5, scope="all", multiple=1, exclude=("b", "nowhere")).apply(
            model, report, NoServices()
        )
    (b,) = (n for n in model.graph if n.name == "b")
    np.testing.assert_array_equal(b.inputs[1].const_value.numpy(), before["b"])
    reasons = {s.node: sentence(s.reason) for s in report.skipped}
    assert reasons["nowhere"] == "no prunable layer has this name"
    assert reasons["a"] == "left alone as asked"


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_the_weakest_filters_go(criterion):
    net = image()
    rows = {"l1": [[3, 0], [2, 2]], "l2": [[2, 2], [3, 0]]}[criterion]  # weakest first
    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[:, :2, 0, 0] = rows
    x = net.add("Conv", "x", net.const(kernel), name="a")
    model = head(net, net.conv(x, 2, 4, name="b"), 4)
    prune(model, ratio=0.5, multiple=1, criterion=criterion, exclude=("fc",))
    (a,) = (n for n in model.graph if n.name == "a")
    np.testing.assert_array_equal(a.inputs[1].const_value.numpy()[0, :2, 0, 0], rows[1])


def test_a_batch_norm_behind_the_layer_weighs_its_filters():
    net = image()
    x = net.add("Conv", "x", net.const(np.ones((2, 3, 1, 1))), name="a")
    ones = net.const(np.ones(2))
    x = net.add("BatchNormalization", x, net.const([0.1, 5.0]), ones, ones, ones)
    model = head(net, net.conv(x, 2, 4, name="b"), 4)
    prune(model, ratio=0.5, multiple=1, exclude=("fc",))
    (norm,) = (n for n in model.graph if n.op_type == "BatchNormalization")
    assert norm.inputs[1].const_value.numpy().tolist() == [5.0]


def test_an_operator_without_a_rule_freezes_what_it_touches():
    net = image()
    x = net.conv("x", 3, 8, name="a")
    x = net.add("LRN", x, size=3)
    x = net.conv(x, 8, 6, name="b")
    model = head(net, x, 6)
    report = prune(model, ratio=0.5, multiple=1)
    assert widths(model) == {"a": 8, "b": 3}
    assert "no rule for LRN" in {s.node: sentence(s.reason) for s in report.skipped}["a"]


def test_what_a_branch_captures_is_frozen():
    model = ir.from_onnx_text(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,3] x, bool c) => (float[N,2] y)
        <float[3,4] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[4,2] v = {1,2,3,4,5,6,7,8}> {
            h = MatMul(x, w)
            k = If(c) < then_branch = t () => (float[N,4] a) { a = Relu(h) },
                        else_branch = e () => (float[N,4] b) { b = Identity(h) } >
            y = MatMul(k, v)
        }"""
    )
    before = bytes_of(model)
    with pytest.raises(PassPrecondition, match="can be removed: no rule for If"):
        prune(model, ratio=0.5, multiple=1)
    assert bytes_of(model) == before


def test_weights_in_constant_nodes_are_cut_where_they_stand():
    model = ir.from_onnx_text(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,1] y) {
            w = Constant<value = float[2,2] {1,9,1,9}>()
            v = Constant<value = float[2,1] {5,7}>()
            h = MatMul(x, w)
            y = MatMul(h, v)
        }"""
    )
    prune(model, ratio=0.5, multiple=1)
    kept = [
        n.attributes["value"].as_tensor().numpy() for n in model.graph if n.op_type == "Constant"
    ]
    assert [k.tolist() for k in kept] == [[[9.0], [9.0]], [[7.0]]]
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_a_quantized_graph_is_left_alone():
    model = ir.from_onnx_text(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,1] y)
        <int8[2,2] q = {1,2,3,4}, int8[2,1] r = {5,6}, float s = {0.5}, int8 z = {0}> {
            w = DequantizeLinear(q, s, z)
            h = MatMul(x, w)
            v = DequantizeLinear(r, s, z)
            y = MatMul(h, v)
        }"""
    )
    before = bytes_of(model)
    with pytest.raises(PassPrecondition, match="No channel of this graph can be removed"):
        prune(model, ratio=0.5, multiple=1)
    assert bytes_of(model) == before


def test_a_tensor_is_never_left_without_channels():
    """One half of a Split carries all the weak channels: cutting them would leave it empty."""
    net = image()
    kernel = net.random.normal(size=(8, 3, 3, 3)).astype(np.float32)
    kernel[:4] *= 1e-3
    x = net.add("Conv", "x", net.const(kernel), pads=[1, 1, 1, 1], name="a")
    left, right = net.add("Split", x, net.ints(4, 4), outputs=2, axis=1)
    y = net.add("Concat", net.add("Relu", left), net.add("Sigmoid", right), axis=1)
    model = head(net, net.conv(y, 8, 4, name="b"), 4)
    with pytest.raises(PassPrecondition, match="without channels"):
        prune(model, ratio=0.5, multiple=1, exclude=("fc",))
    assert widths(model)["a"] == 8


def test_declared_shapes_follow_the_cut():
    model = residual()
    prune(model, ratio=0.5, scope="all", multiple=1)
    declared = {v.name: tuple(v.shape) for n in model.graph for v in n.outputs if v.shape}
    assert declared["stem_out0"][1] == 8
    assert declared["a_out0"][1] == 6


def test_cutting_nothing_leaves_the_graph_as_it_is():
    model = residual()
    before = bytes_of(model)
    assert remove(channel_map(model), ()) == 0
    assert bytes_of(model) == before


def test_map_only_reads():
    for build, _ in NETS.values():
        model = build()
        before = bytes_of(model)
        channel_map(model)
        assert bytes_of(model) == before


def test_two_cuts_in_a_row():
    model = residual()
    prune(model, ratio=0.25, scope="all", multiple=1)
    prune(model, ratio=0.5, scope="all", multiple=1)
    assert widths(model) == {"stem": 6, "a": 5, "b": 6}
    assert run(model, feeds_of(model))[0].shape == (2, 5)


# With calibration images


def cost(model: ir.Model) -> int:
    return totals(model)[1]


def test_images_make_good_what_pruning_lost():
    model = residual()
    images = Pictures(model, count=256)
    results = {}
    for repaired in (False, True):
        pruned, report = model.clone(), Report()
        PruneChannels(ratio=0.25, multiple=1, repair=repaired).apply(pruned, report, images)
        results[repaired] = error(model, pruned, images)
        assert any("refitted on 256" in note for note in sentences(report.notes)) == repaired
    assert results[True] < 0.5 * results[False]


@pytest.mark.parametrize("criterion", ["obs", "l1", "l2", "activation"])
def test_every_criterion_cuts_as_much(criterion):
    model = residual()
    images = Pictures(model)
    PruneChannels(ratio=0.5, multiple=1, scope="all", criterion=criterion).apply(
        model, Report(), images
    )
    assert widths(model) == {"stem": 8, "a": 6, "b": 8}


def test_obs_removes_the_channel_that_another_repeats():
    net = image()
    kernel = net.random.normal(size=(6, 3, 3, 3)).astype(np.float32)
    kernel[4] = 3 * kernel[1]  # large, but of no use beside the other
    x = net.add("Relu", net.add("Conv", "x", net.const(kernel), pads=[1] * 4, name="a"))
    model = head(net, net.add("Relu", net.conv(x, 6, 8, name="b")), 8)
    images = Pictures(model)
    pruned = model.clone()
    with pytest.raises(PassPrecondition, match="left alone as asked"):  # b reads a
        PruneChannels(ratio=0.17, multiple=1, exclude=("b",)).apply(pruned, Report(), images)
    assert widths(pruned)["a"] == 6
    pruned = model.clone()
    PruneChannels(ratio=0.17, multiple=1, exclude=("fc",)).apply(pruned, Report(), images)
    assert widths(pruned)["a"] == 5
    (a,) = (n for n in pruned.graph if n.name == "a")
    rows = a.inputs[1].const_value.numpy().reshape(5, -1)
    both = [any(np.allclose(r, kernel[i].reshape(-1), atol=0.2) for r in rows) for i in (1, 4)]
    assert sum(both) == 1


@pytest.mark.parametrize("budget", ["macs", "parameters", "bytes"])
def test_a_budget_is_met_without_more_than_needed(budget):
    model = residual()
    images = Pictures(model)
    pruned, report = model.clone(), Report()
    PruneChannels(budget=budget, target=0.7, multiple=1, scope="all").apply(pruned, report, images)
    number = {"macs": cost, "parameters": lambda m: totals(m)[0]}.get(
        budget, lambda m: sum(v.const_value.nbytes for v in m.graph.initializers.values())
    )
    share = number(pruned) / number(model)
    assert 0.5 < share <= 0.72  # biases that the repair makes come on top of the bytes
    assert error(model, pruned, images) < 1


def test_a_budget_out_of_reach_is_said():
    report = prune(residual(), budget="macs", target=0.05, multiple=1)
    assert any("no less than" in note for note in sentences(report.notes))


@pytest.mark.parametrize("arithmetic", ["f32", "int8"])
def test_a_latency_budget_follows_measured_times_and_not_macs(arithmetic: str):
    """Only one layer is slow here, so it is cut, although most MACs are elsewhere."""
    model = residual()
    slow = signatures(model)
    rows = []
    for node, layer in slow.items():
        for inputs in range(1, layer.inputs + 1):
            for outputs in range(1, layer.outputs + 1):
                seconds = 1e-3 * outputs if node.name == "a" else 1e-6
                narrow = replace(layer.resized(inputs, outputs), precision=arithmetic)
                rows.append(LayerTime((narrow,), seconds))
    images = Pictures(model)
    images.timings = LayerTimes(Target("host", "fake", "1", "f32", 1)).extended(rows)
    prune = PruneChannels(
        budget="latency", target=0.51, multiple=1, scope="all", arithmetic=arithmetic
    )
    other = replace(prune, arithmetic={"f32": "int8", "int8": "f32"}[arithmetic])
    with pytest.raises(PassPrecondition, match="None of the"):
        other.apply(model, Report(), images)
    prune.apply(model, Report(), images)
    assert widths(model) == {"stem": 16, "a": 6, "b": 16}


def test_a_latency_budget_without_times_is_refused():
    with pytest.raises(PassPrecondition, match="measured layer times"):
        prune(residual(), budget="latency", target=0.5)
    assert PruneChannels(budget="latency", backend="openvino").timed_on() == "openvino"
    assert PruneChannels(budget="macs").timed_on() == ""
    assert PruneChannels(budget="latency", arithmetic="int8").timed_in() == "int8"


def test_what_is_lost_without_images_is_said():
    report = prune(residual(), ratio=0.5, multiple=1)
    assert "No calibration images" in sentences(report.notes)[-1]
    assert "not refitted" in sentences(report.notes)[-1]
    report = prune(residual(), ratio=0.5, multiple=1, criterion="l1", repair=False)
    assert not any("No calibration images" in note for note in sentences(report.notes))


def test_few_images_are_said():
    model, report = residual(), Report()
    PruneChannels(ratio=0.5, multiple=1).apply(model, report, Pictures(model, count=32))
    assert any("Only 32 calibration images" in note for note in sentences(report.notes))


def test_the_next_ratio_starts_from_what_is_known():
    model = residual()
    images = Pictures(model)
    prune = PruneChannels(ratio=0.25, multiple=1)
    prune.apply(model.clone(), Report(), images)
    first, images.loaded = images.loaded, 0
    PruneChannels(ratio=0.5, multiple=1).apply(model.clone(), Report(), images)
    assert 0 < images.loaded < first


def test_previews_count_what_images_would_leave():
    model = residual()
    shown, made = model.clone(), model.clone()
    prune = PruneChannels(ratio=0.5, multiple=1)
    assert prune.preview(shown, Report())
    prune.apply(made, Report(), Pictures(model))
    assert widths(shown) == widths(made)
    assert not PruneChannels(budget="latency").preview(model.clone(), Report())


@pytest.mark.parametrize("name", NETS)
def test_every_net_is_repaired_without_harm(name):
    model = NETS[name][0]()
    if len(model.graph.inputs) > 1 or any(
        isinstance(d, int) for d in model.graph.inputs[0].shape[:1]
    ):
        pytest.skip("the pictures have one input and batches of 8")
    images = Pictures(model, count=64)
    plain, repaired = model.clone(), model.clone()
    options = {"ratio": 0.25, "scope": "all", "multiple": 1}
    PruneChannels(**options, repair=False).apply(plain, Report(), images)
    PruneChannels(**options).apply(repaired, Report(), images)
    onnx.checker.check_model(ir.to_proto(repaired), full_check=True)
    assert error(model, repaired, images) <= error(model, plain, images) * 1.02 + 1e-6


def wide_and_narrow() -> ir.Model:
    """A stream of 16 channels and inner groups of 16, 32 and 64."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 16, name="stem"))
    for name, width in (("a", 16), ("b", 32), ("c", 64)):
        y = net.add("Relu", net.conv(x, 16, width, name=name))
        x = net.add("Relu", net.add("Add", x, net.conv(y, width, 16, name=f"{name}2")))
    return head(net, x, 16)


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.3, 0.4, 0.5, 0.7])
def test_rounding_by_itself_meets_the_ratio_on_the_whole_and_does_not_distort(ratio: float):
    model = wide_and_narrow()
    before = widths(model)
    prune(model, ratio=ratio, scope="all")
    after = widths(model)
    makers = {"stem": 16, "a": 16, "b": 32, "c": 64}
    assert {n: before[n] for n in makers} == makers
    gone = 1 - sum(after[n] for n in makers) / sum(makers.values())
    assert gone == pytest.approx(ratio, abs=1 / 64)
    for name, width in makers.items():
        assert after[name] % {16: 2, 32: 4, 64: 8}[width] == 0
        assert abs(after[name] - (1 - ratio) * width) < {16: 2, 32: 4, 64: 8}[width]


def test_where_only_a_stream_can_be_cut_the_scope_that_works_is_named():
    net = image()
    x = net.conv("x", 3, 16, name="stem")
    model = head(net, net.add("Add", x, net.conv(x, 16, 16, name="a")), 16)
    with pytest.raises(PassPrecondition, match="scope=all"):
        prune(model, ratio=0.5)
    assert prune(model, ratio=0.5, scope="all").changed


def test_a_ratio_that_rounding_eats_up_is_no_success():
    model = residual()
    with pytest.raises(PassPrecondition, match="multiple=1"):
        prune(model, ratio=0.1, multiple=12)  # of 12


def grouped_shuffle(groups: int, width: int) -> ir.Model:
    """Grouped 1x1, shuffle, depthwise, grouped 1x1: as ShuffleNet has them."""
    net = image()
    x = net.add("Relu", net.conv("x", 3, 2 * groups, name="stem"))
    y = net.add("Relu", net.conv(x, 2 * groups, width, 1, group=groups, name="in"))
    y = net.add("Reshape", y, net.ints(0, groups, width // groups, SIZE, SIZE))
    y = net.add("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = net.add("Reshape", y, net.ints(0, width, SIZE, SIZE))
    y = net.conv(y, width, width, group=width, name="depthwise")
    y = net.conv(y, width, 2 * groups, 1, group=groups, name="out")
    return head(net, net.add("Relu", net.add("Add", x, y)), 2 * groups)


@pytest.mark.parametrize(("groups", "width"), [(2, 12), (3, 60), (3, 120), (4, 32), (4, 72)])
@pytest.mark.parametrize("multiple", [0, 1])
def test_groups_that_a_shuffle_mixes_lose_as_many_channels_each(groups, width, multiple):
    model = grouped_shuffle(groups, width)
    feeds = feeds_of(model)
    pruned, masked, atoms = twins(model, PruneChannels(ratio=0.3, multiple=multiple))
    assert atoms
    onnx.checker.check_model(ir.to_proto(pruned), full_check=True)
    for expected, got in zip(run(masked, feeds), run(pruned, feeds), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    left = widths(pruned)["in"]
    assert left < width
    assert left % groups == 0


def test_the_refit_of_a_shuffled_net_lowers_its_error():
    model = grouped_shuffle(3, 60)
    pictures = Pictures(model)
    plain, repaired = model.clone(), model.clone()
    PruneChannels(ratio=0.3, criterion="l1", repair=False).apply(plain, Report(), NoServices())
    PruneChannels(ratio=0.3).apply(repaired, Report(), pictures)
    assert widths(plain) == widths(repaired)
    assert error(model, repaired, pictures) < 0.5 * error(model, plain, pictures)


def test_the_cost_of_a_grouped_layer_is_that_of_the_cut_graph():
    model = grouped_shuffle(3, 120)
    channels = channel_map(model)
    group = next(g for g in channels.groups if "in" in g.layers and not g.frozen)
    budget = costs.macs(channels)
    assert budget.total({}) == totals(model)[1]
    expected = budget.total({group: 4})
    remove(channels, group.atoms[:4])
    assert totals(model)[1] == pytest.approx(expected, rel=1e-6)


def test_a_budget_of_macs_that_nobody_knows_is_refused():
    net = builders.graph(
        "(float[1,3,H,W] x) => (float[1,4,A,B] y) { a = Conv (x, w) r = Relu (a) y = Conv (r, u) }",
        w=(16, 3, 3, 3), u=(4, 16, 1, 1),
    )  # fmt: skip
    assert "an input size is open" in builders.refused(
        net, PruneChannels(budget="macs", target=0.5)
    )
    made, _ = builders.rewrite(net, PruneChannels(budget="parameters", target=0.5))
    assert made.graph.initializers["w"].shape[0] < 16
