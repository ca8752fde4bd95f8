"""Ranking, costs and allocation against brute force; gradients against differences."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from core.analysis.channels import channel_map
from core.analysis.cost import layers
from core.analysis.surgery import remove
from core.calibration import Probe
from core.compress.autodiff.vjp import RULES, backward
from core.compress.graph_executor.spill_cache import SpillCache
from core.compress.pruning import costs, study_file
from core.compress.pruning.allocation import allocate
from core.compress.pruning.group_sensitivity import Trial
from core.compress.pruning.loss_curves import curve
from core.compress.pruning.obs_ranking import damping, eliminate, readers
from core.compress.pruning.study import TRIED_IMAGES, Study
from core.compress.pruning.study import study as study_of
from core.compress.refit.linear_layers import find
from core.compress.refit.reference import with_outputs
from core.errors import StoreError
from tests.analysis.nets import NETS, Net, head, image, residual
from tests.compress.refit.images import Pictures, input_grams


def plain() -> ir.Model:
    net = image()
    x = net.add("Relu", net.conv("x", 3, 10, name="a"))
    return head(net, net.add("Relu", net.conv(x, 10, 7, name="b")), 7)


def test_the_cost_of_an_atom_is_the_error_of_the_refit_without_it():
    model = plain()
    images, channels, layers = Pictures(model), channel_map(model), find(model)
    group = next(g for g in channels.groups if "a" in g.layers)
    grams = input_grams(model, layers, images, per_image=1000)
    reading = readers(channels, group, layers)
    assert [r.layer.name for r in reading] == ["b"]
    layer = reading[0].layer
    moments = grams[layer.output].moments()
    second, weights = moments.second[0], layer.matrix()[0]
    power = np.einsum("oi,oi->", weights @ second, weights)

    def refitted(gone: list[int]) -> float:
        """Relative error of the best weights without some atoms, by solving for them."""
        out = np.concatenate([reading[0].columns[a] for a in gone])
        left = np.setdiff1d(np.arange(len(second)), out)
        inner = second[np.ix_(left, left)]
        size = damping(len(second), grams[layer.output].count) * np.trace(second) / len(second)
        ridge = size * np.eye(len(left))
        best = np.linalg.solve(inner + ridge, second[left] @ weights.T).T
        lost = weights.copy()
        lost[:, left] -= best
        lost_power = np.einsum("oi,oi->", lost @ second, lost)
        return float(lost_power / power)

    ranking = eliminate(group, reading, grams, {}, snapshots=[3])
    alone = {a: refitted([a]) for a in group.atoms}
    assert ranking.order[0] == min(alone, key=alone.__getitem__)
    assert ranking.error[0] == pytest.approx(alone[ranking.order[0]], rel=0.1)
    assert ranking.error[2] == pytest.approx(refitted(list(ranking.order[:3])), rel=0.15)
    assert sorted(ranking.order) == sorted(group.atoms)
    kept = ranking.weights[3][layer.output][0]
    gone = np.concatenate([reading[0].columns[a] for a in ranking.order[:3]])
    assert not kept[:, gone].any()
    assert np.abs(kept).sum() > 0


def test_an_order_that_was_decided_otherwise_is_kept():
    model = plain()
    images, channels, layers = Pictures(model), channel_map(model), find(model)
    group = next(g for g in channels.groups if "a" in g.layers)
    grams = input_grams(model, layers, images)
    order = tuple(reversed(group.atoms))
    ranking = eliminate(group, readers(channels, group, layers), grams, {}, (), order)
    assert ranking.order == order


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kind", ["macs", "parameters", "bytes"])
def test_a_budget_knows_the_cost_without_cutting(name, kind):
    model = NETS[name][0]()
    channels = channel_map(model)
    budget = {
        "macs": costs.macs,
        "parameters": lambda c: costs.elements(c, False),
        "bytes": lambda c: costs.elements(c, True),
    }[kind](channels)
    free = [g for g in channels.groups if not g.frozen and len(g.atoms) > 2]
    removed = {g: len(g.atoms) // 3 for g in free}
    before = measured(model, kind)
    assert budget.total({}) == pytest.approx(before, rel=1e-6)
    saved = {g: budget.saved({}, g, count) for g, count in removed.items()}
    remove(channels, {a for g, count in removed.items() for a in g.atoms[:count]})
    after = measured(model, kind)
    if not before:
        pytest.skip("sizes are dynamic")
    assert abs(budget.total(removed) - after) < 0.25 * (before - after)
    assert all(s >= 0 for s in saved.values())


def measured(model: ir.Model, kind: str) -> float:
    if kind == "macs":
        return sum(layer.macs or 0 for layer in layers(model))  # of an open shape: what is known
    tensors = [v.const_value for v in model.graph.initializers.values()]
    tensors += [n.attributes["value"].as_tensor() for n in model.graph if n.op_type == "Constant"]
    return sum(t.nbytes if kind == "bytes" else t.size for t in tensors)


def test_allocation_takes_from_where_it_hurts_least():
    model = residual()
    channels = channel_map(model)
    inner, stream = (next(g for g in channels.groups if n in g.layers) for n in ("a", "b"))
    budget = costs.macs(channels)
    curves = {
        inner: {c: 0.01 * c for c in range(len(inner.atoms))},
        stream: {c: 10.0 * c for c in range(len(stream.atoms))},
    }
    counts, met = allocate(curves, budget, 0.8)
    assert met
    assert counts[inner] > 0
    assert counts[stream] == 0
    assert budget.total(counts) <= 0.8 * budget.total({})
    fewer = {**counts, inner: counts[inner] - 1}
    assert budget.total(fewer) > 0.8 * budget.total({})  # no more than needed


def test_a_target_out_of_reach_is_said():
    model = residual()
    channels = channel_map(model)
    group = next(g for g in channels.groups if "a" in g.layers)
    counts, met = allocate({group: {0: 0.0, 2: 1.0}}, costs.macs(channels), 0.1)
    assert not met
    assert counts[group] == 2


def test_a_staircase_is_climbed_to_the_next_step():
    """One channel less saves nothing; four do."""
    model = plain()
    channels = channel_map(model)
    group = next(g for g in channels.groups if "a" in g.layers)

    def seconds(node, inputs, outputs):
        return 1.0 if node.name != "b" else float(-(-inputs // 4))

    budget, unknown = costs.latency(channels, seconds)
    assert unknown == []
    counts, met = allocate({group: {c: c * 1.0 for c in range(10)}}, budget, 0.85)
    assert met
    assert counts[group] == 2  # 10 -> 8 channels: three blocks become two


def picked(opset: int) -> ir.Model:
    """A token picked by number, others by a vector in which one is twice; from opset 20 a Gelu."""
    net = Net({"x": ["N", 3, 8, 8]}, opset=opset)
    y = net.conv("x", 3, 8, 4, strides=[4, 4], pads=[0, 0, 0, 0], name="patch")
    y = net.add("Transpose", net.add("Reshape", y, net.ints(0, 8, 4)), perm=[0, 2, 1])
    y = net.linear(y, 8, 8, name="up")
    y = net.add("Gelu" if opset >= 20 else "Tanh", y)
    zero = numpy_helper.from_array(np.array(0), "zero")
    net.weights.append(zero)
    first = net.add("Gather", y, "zero", axis=1)
    rest = net.add("Flatten", net.add("Gather", y, net.ints(2, -1, 2), axis=1))
    y = net.add("Concat", first, rest, axis=1)
    return net.model(net.add("Gemm", y, net.weight(5, 32), net.weight(5), transB=1, name="fc"))


def enlarged(opset: int) -> ir.Model:
    """A pyramid of two floors: the upper one enlarged, put beside the lower."""
    net = Net({"x": ["N", 3, 8, 8]}, opset=opset)
    low = net.add("Tanh", net.conv("x", 3, 6, strides=[2, 2], name="low"))
    high = net.add("Tanh", net.conv(low, 6, 5, strides=[2, 2], name="high"))
    scales = net.const([1, 1, 2, 2])
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if opset < 10:
        wide = net.add("Upsample", high, scales)
    else:
        wide = net.add("Resize", high, "", scales, **how)
    y = net.conv(net.add("Concat", wide, low, axis=1), 11, 4, name="both")
    return head(net, y, 4)


MORE = {
    "picked_late": (lambda: picked(20), set()),
    "picked_old": (lambda: picked(12), set()),
    "enlarged_late": (lambda: enlarged(17), set()),
    "enlarged_old": (lambda: enlarged(9), set()),
}


@pytest.mark.parametrize("name", NETS | MORE)
def test_gradients_are_those_of_small_differences(name):
    model = (NETS | MORE)[name][0]()
    images = Pictures(model, count=2, batch=2)
    (feeds,) = images.feeds()
    out = model.graph.outputs[0].name
    tensors = [layer.output for layer in find(model) if layer.output != out]
    if len(model.graph.outputs) > 1 or any(n.op_type not in RULES for n in model.graph):
        pytest.skip("only one output, and where every way back is known")
    if any(n.op_type == "MaxPool" for n in model.graph):
        pytest.skip("MaxPool is approximated")
    graph, found = backward(model, [out, *tensors])
    names = list(dict.fromkeys(found.values()))
    gradients = Probe(with_outputs(graph, names), names).run(feeds)
    signs = gradients[found[out]]
    checked = 0
    for name in (t for t in tensors if t in found):
        random = np.random.default_rng(0)
        step = random.normal(size=gradients[found[name]].shape).astype(np.float32)
        step *= 1e-3 / np.abs(step).max()
        moved = [shifted(model, name, s * step, feeds) for s in (1, -1)]
        expected = float(((moved[0] - moved[1]) / 2 * signs).sum())
        got = float((gradients[found[name]] * step).sum())
        scale = float(np.abs(gradients[found[name]] * step).sum())
        assert got == pytest.approx(expected, abs=0.03 * scale + 1e-6)
        checked += 1
    assert checked or name in ("late_style",) or not tensors


def test_nothing_runs_backwards_that_no_gradient_needs():
    """The gradient by the images is the dearest of all, and nobody asks for it."""
    model = residual()
    for names in (["b_out0"], [layer.output for layer in find(model)]):
        graph, found = backward(model, names)
        assert len(found) == len(names)
        asked, read = {v.name for v in graph.graph.outputs}, set()
        for node in graph.graph:
            read |= {v.name for v in node.inputs if v is not None}
        made = {v.name for n in graph.graph for v in n.outputs if v.name.startswith("__g")}
        assert made <= asked | read


def shifted(model: ir.Model, name: str, step: np.ndarray, feeds: dict) -> np.ndarray:
    """The output when `step` is added to a tensor."""
    copy = model.clone()
    value = next(v for n in copy.graph for v in n.outputs if v.name == name)
    uses = list(value.uses())
    given = ir.Value(name="step", type=ir.TensorType(ir.DataType.FLOAT))
    copy.graph.inputs.append(given)
    add = ir.Node("", "Add", [value, given], name="shift")
    add.outputs[0].name = "shifted"
    copy.graph.insert_after(value.producer(), add)
    for use in uses:
        use.node.replace_input_with(use.idx, add.outputs[0])
    out = copy.graph.outputs[0].name
    return Probe(copy, [out]).run(feeds | {"step": step})[out]


def test_a_cut_deeper_than_any_measured_is_not_taken_for_a_cheap_one():
    net = image()
    x = net.add("Relu", net.conv("x", 3, 8, name="a"))
    model = head(net, net.add("Relu", net.conv(x, 8, 48, 1, name="wide")), 48)
    study = Study(model, Pictures(model, count=512))
    group = next(g for g in study.channels.groups if "wide" in g.layers)
    study.moments([r.layer.output for r in study.readers(group)])
    ranking = eliminate(group, study.readers(group), study._grams, {}, [24, 36, 47])
    trial = Trial(model, study._services, study.some_feeds(64))
    found = trial.effects(group, ranking, study.readers(group), study._grams)
    assert found[47].error > 20 * found[36].error  # else there is nothing to get wrong
    line = curve(ranking, {depth: found[depth] for depth in (24, 36)})
    assert line[47] == pytest.approx(found[47].error, rel=0.5)


def test_effects_are_measured_once_and_grow_with_the_cut():
    model = residual()
    images = Pictures(model, count=64)
    study = Study(model, images)
    groups = [g for g in study.channels.groups if not g.frozen]
    rankings = study.rankings(groups)
    effects = study.effects(rankings)
    loaded = images.loaded
    assert study.effects(study.rankings(groups)) == effects
    assert images.loaded == loaded
    for group, found in effects.items():
        errors = [found[d].error for d in sorted(found)]
        assert errors[-1] > errors[0] >= 0
        line = curve(rankings[group], found)
        assert [line[d] for d in sorted(found)] == pytest.approx(
            np.maximum.accumulate(errors).tolist()
        )
        assert line[0] == 0
        assert list(line.values()) == sorted(line.values())


def test_a_study_is_saved_and_read_again(tmp_path):
    model = residual()
    study, again = Study(model, Pictures(model)), Study(model, Pictures(model))
    groups = [g for g in study.channels.groups if not g.frozen]
    shown = study.sensitivity(groups)
    assert {s.layers for s in shown} == {g.layers for g in groups}
    study.save(tmp_path / "study.json")
    again.load(tmp_path / "study.json")
    twins = [again.group(g) for g in groups]
    again._services = None  # nothing may be run to rank or measure
    assert again.sensitivity(twins) == shown
    (tmp_path / "bad.json").write_text("[{}]")
    with pytest.raises(StoreError):
        again.load(tmp_path / "bad.json")


def test_the_next_process_ranks_and_measures_nothing_again(tmp_path):
    model = residual()
    images, later = Pictures(model), Pictures(model)
    images.studies = later.studies = tmp_path
    first = study_of(model, images)
    groups = [g for g in first.channels.groups if not g.frozen]
    shown = first.sensitivity(groups)
    again = study_of(model, later)
    assert again is not first
    assert again.sensitivity([again.group(g) for g in groups]) == shown
    assert later.loaded == 0


def test_effects_of_a_ranking_that_was_read_are_those_of_one_that_was_made(tmp_path):
    model = residual()
    images, later = Pictures(model), Pictures(model)
    images.studies = later.studies = tmp_path
    first = study_of(model, images)
    groups = [g for g in first.channels.groups if not g.frozen]
    first.rankings(groups)
    again = study_of(model, later)
    twins = [again.group(g) for g in groups]
    assert not any(r.weights for r in again.rankings(twins).values())
    for one, other in zip(again.sensitivity(twins), first.sensitivity(groups), strict=True):
        assert one.error == pytest.approx(other.error, rel=1e-4)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"order": [', '"order": [999999, '),
        lambda text: text.replace('"error": [', '"error": [NaN, '),
        lambda text: "null",
        lambda text: "[[]]",
    ],
)
def test_a_damaged_study_is_made_anew(tmp_path, damage):
    model = residual()
    images, later = Pictures(model), Pictures(model)
    images.studies = later.studies = tmp_path
    groups = [g for g in study_of(model, images).channels.groups if not g.frozen]
    shown = study_of(model, images).sensitivity(groups)
    (path,) = tmp_path.glob("*.json")
    whole = path.read_text()
    path.write_text(damage(whole))
    again = study_of(model, later)
    assert again.sensitivity([again.group(g) for g in groups]) == shown
    assert later.loaded > 0
    assert path.read_text() == whole


def test_a_folder_of_studies_stays_small(tmp_path):
    for turn in range(study_file.MOST + 3):
        study_file.write(tmp_path / f"{turn}.json", {}, {})
    names = {path.stem for path in tmp_path.iterdir()}
    assert len(names) == study_file.MOST
    assert str(study_file.MOST + 2) in names


def test_a_full_shelf_goes_on_on_disk():
    cache = SpillCache(limit_bytes=1000)
    arrays = [np.full(100, i, np.float64) for i in range(5)]
    for i, array in enumerate(arrays):
        cache.put("x", i, array)
    assert cache._folder is not None
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(cache.get("x", i), array)
    cache.drop("x")
    assert "x" not in cache
    cache.put("y", 0, arrays[0])
    assert cache._bytes == 800


def test_effects_that_were_kept_without_labels_are_measured_again_with_them():
    model = residual()
    learnt = study_of(model, Pictures(model))
    groups = [g for g in learnt.channels.groups if not g.frozen]
    assert all(effect.accuracy_lost is None for effect in learnt.sensitivity(groups))
    assert all(effect.agreement is not None for effect in learnt.sensitivity(groups))
    feeds = learnt.some_feeds(TRIED_IMAGES)
    learnt.labels = np.zeros(sum(len(next(iter(f.values()))) for f in feeds), np.int64)
    assert all(effect.accuracy_lost is not None for effect in learnt.sensitivity(groups))
