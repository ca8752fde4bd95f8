"""The training itself: it comes closer, keeps its best, holds what must not change."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.calibration.services import Tensors
from core.errors import PassPrecondition
from core.graph import Graph
from core.passes.base import Report
from core.passes.fine_tune import FineTune
from core.pipeline import runner
from core.records import Recipe, Step
from core.wording import sentences
from tests.builders import Images, feeds, graph, kinds, norm, refused, run, skips, weights_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed: requirements/torch.txt")

from core.compress.distill import fine_tune, images  # noqa: E402
from core.compress.distill.student import Precision, enrol  # noqa: E402

NET = """(float[N,3,8,8] x) => (float[N,5] y) {
    a = Conv <pads=[1,1,1,1]> (x, w) b = BatchNormalization (a, s, t, m, v) c = Relu (b)
    d = Conv <pads=[1,1,1,1], group=6> (c, u) e = Relu (d) f = Conv (e, p) h = Relu (f)
    g = GlobalAveragePool (h) k = Flatten (g) y = Gemm <transB=1> (k, q, r) }"""
WEIGHTS = {"w": (6, 3, 3, 3), "u": (6, 1, 3, 3), "p": (7, 6, 1, 1), "q": (5, 7), "r": (5,)}
QUICK = {"steps": 60, "rate": "0.003"}


@pytest.fixture
def net() -> Graph:
    return graph(NET, **WEIGHTS, **norm(6))


@pytest.fixture
def data(net: Graph) -> Images:
    return pictures(net)


def pictures(net: Graph) -> Images:
    """Images with something to see: patches of one colour, which bending leaves alike."""

    def paint(given: Tensors) -> None:
        given["x"] = np.kron(given["x"][..., ::4, ::4], np.ones((4, 4), np.float32))

    return Images(net, 40, paint)


def spoil(net: Graph, amount: float = 0.3) -> Graph:
    """The net with other weights, as after a step that cost accuracy."""
    spoilt, random = net.clone(), np.random.default_rng(0)
    for name in WEIGHTS:
        value = spoilt.graph.initializers[name]
        array = value.const_value.numpy()
        noise = random.normal(size=array.shape) * amount * array.std()
        value.const_value = ir.tensor((array + noise).astype(np.float32), name=name)
    return spoilt


def tuned(net: Graph, data: Images, original: Graph, **params) -> tuple[Graph, Report]:
    """What the pass makes of `net` with `original` as its teacher."""
    made, report = net.clone(), Report()
    data.original = original
    FineTune(**{**QUICK, **params}).apply(made, report, data)
    return made, report


def distance(one: Graph, other: Graph) -> float:
    """On images that neither saw in training."""
    total = 0.0
    for seed in range(100, 110):
        given = feeds(one, seed)
        given["x"] = np.kron(given["x"][..., ::4, ::4], np.ones((4, 4), np.float32))
        total += float(((run(one, given)[0] - run(other, given)[0]) ** 2).sum())
    return total


def test_it_comes_closer_to_the_original(net: Graph, data: Images):
    spoilt = spoil(net)
    made, report = tuned(spoilt, data, net)
    assert distance(net, made) < distance(net, spoilt) / 2
    assert report.changed
    assert kinds(made) == kinds(net)
    assert list(weights_of(made)) == list(weights_of(net))


def test_int4_weights_are_trained_on_their_grid(net: Graph, data: Images):
    made, report = tuned(net, data, net, weights="int4", edges=False)
    for name in ("w", "u", "p", "q"):
        array = weights_of(made)[name]
        rows = array.reshape(len(array), -1)
        scale = np.abs(rows).max(1, keepdims=True) / 7
        np.testing.assert_allclose(rows / scale, np.round(rows / scale), atol=1e-3)
    untrained = net.clone()
    enrol(untrained, Precision(4, edges=False)).write(untrained)
    assert distance(net, made) < distance(net, untrained)
    assert any("int4" in note for note in sentences(report.notes))


@pytest.mark.parametrize(
    "names",
    [
        ("fold_batch_norm", "fine_tune", "quantize_static"),
        ("fine_tune", "fold_batch_norm", "quantize_static"),
    ],
)
def test_quantizing_afterwards_rounds_no_weight(net: Graph, data: Images, names):
    params = {"fine_tune": {**QUICK, "steps": 20, "weights": "int8", "activations": "int8"}}
    steps = [Step(name, params.get(name, {})) for name in names]
    tuned_only, _ = runner.apply(net, Recipe("r", tuple(steps[:2])), data)
    made, reports = runner.apply(net, Recipe("r", tuple(steps)), data)
    assert [report.reverted for report in reports] == ["", "", ""]
    integers = {n: a for n, a in weights_of(made).items() if a.dtype == np.int8 and a.ndim > 1}
    assert len(integers) == 4
    stored = weights_of(made)
    for name, array in integers.items():
        scale = stored[name.replace("_quantized", "_scale")]
        wanted = weights_of(tuned_only)[name.removesuffix("_quantized")]
        got = array * scale.reshape(-1, *[1] * (array.ndim - 1))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_first_and_last_layer_keep_more_levels(net: Graph, data: Images):
    made, _ = tuned(net, data, net, weights="int4", steps=4)
    levels = {n: len(np.unique(np.abs(weights_of(made)[n][0]))) for n in ("w", "p", "q")}
    assert levels["p"] <= 8
    student = enrol(net, Precision(4))
    assert [student.weight_grids[n].levels for n in ("w", "u", "p", "q")] == [127, 7, 7, 127]


def test_activations_are_rounded_too(net: Graph, data: Images):
    student = enrol(net, Precision(8, 8))
    assert len(student.activation_grids) == 4
    made, report = tuned(spoil(net), data, net, weights="int8", activations="int8")
    assert distance(net, made) < distance(net, spoil(net))
    assert report.changed


def test_the_best_state_is_kept(net: Graph, data: Images):
    """A rate that wrecks the net leaves it as it was."""
    training = _training(spoil(net), data, net, rate=100.0)
    start = [tensor.detach().clone() for tensor in training.student.network.weights.values()]
    result = training.run()
    assert result.after <= result.before
    assert result.steps == 40
    for before, now in zip(start, training.student.network.weights.values(), strict=True):
        torch.testing.assert_close(now, before, rtol=0, atol=0)


def test_the_result_is_the_best_of_all_looks(net: Graph, data: Images):
    said: list[str] = []
    training = _training(spoil(net), data, net, rate=0.01)
    training.tell = lambda sentence, share: said.append(sentence)
    result = training.run()
    losses = [float(sentence.split(",")[0].rsplit(" ", 1)[1]) for sentence in said]
    assert min(losses) == pytest.approx(result.after, abs=1e-3)
    assert training._loss() == pytest.approx(result.after, rel=1e-4)


def _training(net: Graph, data: Images, original: Graph, rate: float) -> fine_tune.Training:
    student = enrol(net, Precision())
    plan = fine_tune.Plan(steps=40, rate=rate)
    teacher = data.runner(original, ["y", "c", "e"])
    return fine_tune.Training(
        student, teacher, images.gather(data.feeds(), 0), ["y"], ["c", "e"], plan
    )


def test_a_seed_gives_the_same_numbers_again(net: Graph, data: Images):
    spoilt = spoil(net, 1.0)
    one, report = tuned(spoilt, data, net, steps=15)
    other, _ = tuned(spoilt, data, net, steps=15)
    third, _ = tuned(spoilt, data, net, steps=15, seed=1)
    assert report.changed
    assert graphs.serialize(one) == graphs.serialize(other) != graphs.serialize(third)


def test_a_rate_is_found_where_none_is_given(net: Graph, data: Images):
    made, report = tuned(spoil(net), data, net, rate="auto")
    assert distance(net, made) < distance(net, spoil(net))
    assert f"after {QUICK['steps']} steps" in sentences(report.notes)[0]


def test_the_zeros_of_a_sparse_weight_stay(net: Graph, data: Images):
    sparse = spoil(net, 1.0)
    value = sparse.graph.initializers["p"]
    array = value.const_value.numpy().copy()
    array[np.abs(array) < np.median(np.abs(array))] = 0
    value.const_value = ir.tensor(array, name="p")
    made, _ = tuned(sparse, data, net)
    found = weights_of(made)["p"]
    assert not found[array == 0].any()
    assert (found[array != 0] != array[array != 0]).any()


def test_layers_that_share_a_weight_along_other_axes_stay_float():
    net = graph(
        """(float[N,6] x) => (float[N,6] y) {
            a = Gemm (x, w) b = Gemm <transB=1> (a, w) y = Gemm (b, v) }""",
        w=(6, 6), v=(6, 6),
    )  # fmt: skip
    made, report = tuned(net, Images(net, batches=24), net, weights="int4", steps=4)
    assert len(report.skipped) == 2
    assert "share" in skips(report)[report.skipped[0].node]  # type: ignore[arg-type]
    assert len(np.unique(weights_of(made)["w"][0])) > 5


def test_a_fixed_batch_is_kept(data: Images):
    text = NET.replace("N,", "2,").replace("k = Flatten (g)", "k = Reshape (g, z)")
    net = graph(text, **WEIGHTS, **norm(6), z=np.array([2, 7]))
    spoilt = spoil(net)
    made, _ = tuned(spoilt, pictures(net), net, steps=20)
    assert distance(net, made) < distance(net, spoilt)


def test_an_unknown_operator_is_refused_by_its_name(data: Images):
    net = graph(
        """(float[N,3,8,8] x) => (float[N,4,8,8] y) {
            a = Conv <pads=[1,1,1,1]> (x, w) y = CumSum (a, k) }""",
        w=(4, 3, 3, 3), k=np.array(1),
    )  # fmt: skip
    reason = refused(net, FineTune(steps=2), Images(net, batches=24))
    assert "CumSum" in reason


def test_too_few_images_are_refused(net: Graph):
    assert "at least 16" in refused(net, FineTune(steps=2), Images(net, batches=2))


def test_the_runner_teaches_by_the_model_before_the_first_step(net: Graph, data: Images):
    told: list[tuple[str, float]] = []
    recipe = Recipe(
        "r",
        (
            Step("prune_channels", {"ratio": 0.5, "multiple": 1, "repair": False}),
            Step("fine_tune", {"steps": 40, "rate": "0.003"}),
        ),
    )
    made, reports = runner.apply(
        net, recipe, data, during=lambda step, sentence, share: told.append((sentence, share))
    )
    assert [report.reverted for report in reports] == ["", ""]
    pruned, _ = runner.apply(net, Recipe("p", recipe.steps[:1]), data)
    assert distance(net, made) < distance(net, pruned)
    assert told[-1][1] == 1.0
    assert data.original is net


def test_images_are_held_out_and_never_drawn():
    given = [{"x": np.full((2, 1), i, np.float32)} for i in range(40)]
    found = images.gather(given, 0)
    held = set(found.held_out["x"].flatten().tolist())
    assert len(found.held_out["x"]) == 10
    drawn = found.draw(2000, torch.Generator().manual_seed(0))["x"]
    assert len(drawn) == 2000
    places = {float(x) for x in found.train["x"].flatten()}
    assert set(drawn.flatten().tolist()) <= places
    assert len(found.train["x"]) + len(found.held_out["x"]) == 80
    assert held


def test_a_model_that_takes_many_images_at_once_needs_two_batches():
    given = [{"x": np.zeros((32, 1), np.float32)}]
    with pytest.raises(PassPrecondition, match="at least 64"):
        images.gather(given, 32)
