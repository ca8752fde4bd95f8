"""Deep, partial and forced rankings against brute force; the inverse that they start from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from core.analysis.channels import channel_map
from core.compress.linalg.blocked_linalg import damped_inverse, inverse, lower_factor
from core.compress.pruning import obs_ranking, study_file
from core.compress.pruning.obs_ranking import Ranking, Reader, eliminate, readers
from core.compress.pruning.study import Study
from core.compress.pruning.study import study as study_of
from core.compress.refit.linear_layers import find
from core.compress.refit.normal_equations import Gram
from tests.analysis.nets import head, image, residual
from tests.compress.refit.images import Pictures, input_grams


def wide(channels: int) -> ir.Model:
    net = image()
    x = net.add("Relu", net.conv("x", 3, channels, name="a"))
    return head(net, net.add("Relu", net.conv(x, channels, 6, name="b")), 6)


class Case:
    """A group, the one layer that reads it, and the sums of that layer."""

    def __init__(self, channels: int) -> None:
        model = wide(channels)
        self.channels, layers = channel_map(model), find(model)
        self.group = next(g for g in self.channels.groups if "a" in g.layers)
        self.grams = input_grams(model, layers, Pictures(model, count=64), per_image=64)
        self.reading = readers(self.channels, self.group, layers)

    @property
    def reader(self) -> Reader:
        return self.reading[0]

    def gram(self) -> Gram:
        return self.grams[self.reader.layer.output]

    def rank(self, **how: object) -> Ranking:
        return eliminate(self.group, self.reading, self.grams, {}, **how)

    def refitted(self, gone: tuple[int, ...]) -> tuple[float, np.ndarray]:
        """Relative rise of the damped error of the best weights without some atoms, and them."""
        weights, second = self.reader.layer.matrix()[0], self.gram().moments().second[0]
        power = float(np.einsum("oi,oi->", weights @ second, weights))
        ridge = (
            obs_ranking.damping(len(second), self.gram().count) * np.trace(second) / len(second)
            + 1e-8
        )
        damped = second + ridge * np.eye(len(second))
        out = np.concatenate([self.reader.columns[a] for a in gone])
        left = np.setdiff1d(np.arange(len(second)), out)
        best = np.zeros_like(weights)
        best[:, left] = np.linalg.solve(damped[np.ix_(left, left)], damped[left] @ weights.T).T
        off = weights - best
        return float(np.einsum("oi,oi->", off @ damped, off)) / power, best


@pytest.mark.parametrize("channels", [12, 72])  # one at a time; a few at a time at first
def test_a_deep_ranking_is_the_refit_without_all_that_went(channels: int):
    case = Case(channels)
    counts = [channels // 4, channels // 2, channels - 2]  # the inverse is written anew twice
    ranking = case.rank(snapshots=counts)
    assert sorted(ranking.order) == sorted(case.group.atoms)
    for count in counts:
        error, best = case.refitted(ranking.order[:count])
        assert ranking.error[count - 1] == pytest.approx(error, rel=1e-5)
        kept = ranking.weights[count][case.reader.layer.output][0]
        np.testing.assert_allclose(kept, best, atol=1e-5 * np.abs(best).max())
        gone = np.concatenate([case.reader.columns[a] for a in ranking.order[:count]])
        assert not kept[:, gone].any()


def test_a_shallow_ranking_is_the_beginning_of_a_deep_one():
    case = Case(72)
    whole, some = case.rank(), case.rank(depth=20)
    assert 20 <= some.depth < whole.depth == 72
    assert some.order[: some.depth] == whole.order[: some.depth]
    np.testing.assert_allclose(some.error, whole.error[: some.depth], rtol=1e-9)
    assert sorted(some.order) == sorted(whole.order)


def test_the_order_weighs_outputs_by_how_much_they_matter():
    case = Case(12)
    weights = case.reader.layer.matrix()[0]
    one = np.zeros((len(weights), len(weights)))
    one[0, 0] = 1.0
    output = case.reader.layer.output
    ranking = eliminate(case.group, case.reading, case.grams, {output: one})
    matrix, second = weights[:1], case.gram().moments().second[0]
    ridge = (
        obs_ranking.damping(len(second), case.gram().count) * np.trace(second) / len(second) + 1e-8
    )
    block = np.linalg.inv(second + ridge * np.eye(len(second)))

    def cost(atom: int) -> float:
        c = case.reader.columns[atom]
        return float((matrix[:, c] @ np.linalg.solve(block[np.ix_(c, c)], matrix[:, c].T)).item())

    assert ranking.order[0] == min(case.group.atoms, key=cost)
    assert ranking.error[0] == pytest.approx(cost(ranking.order[0]), rel=1e-4)


@pytest.mark.parametrize("size", [3, 400, 901])  # at once; halves, of which one is odd
def test_the_inverse_by_halves(size: int):
    root = np.random.default_rng(size).normal(size=(size, size + 20))
    system = root @ root.T / size + 0.01 * np.eye(size)
    made = inverse(system)
    np.testing.assert_allclose(made @ system, np.eye(size), atol=1e-8)
    np.testing.assert_array_equal(made, inverse(system.copy()))


def test_a_covariance_that_rounding_left_indefinite_is_damped_until_it_is_not():
    size = 500
    root = np.random.default_rng(0).normal(size=(size, 40))
    system = root @ root.T / 40 - 0.05 * np.eye(size)
    with pytest.raises(np.linalg.LinAlgError):
        inverse(system)
    made = damped_inverse(system, 1e-3)
    assert np.linalg.eigvalsh(made)[0] > 0
    lower = lower_factor(np.array([[1.0, 1.0], [1.0, 1.0 - 1e-12]]))
    np.testing.assert_allclose(lower @ lower.T, 1.0, atol=1e-6)


def test_rows_that_say_little_are_ranked_all_the_same():
    """Fewer rows than inputs, one of which varies a million times more than the others."""
    case = Case(72)
    rows = np.random.default_rng(0).normal(size=(60, 72 * 9)).astype(np.float32)
    rows[:, 0] *= 1e4
    gram = Gram()
    gram.add(rows)
    gram.rest()
    ranking = eliminate(case.group, case.reading, {case.reader.layer.output: gram}, {})
    assert sorted(ranking.order) == sorted(case.group.atoms)
    assert np.isfinite(ranking.error).all()


def test_a_study_ranks_deeper_when_it_is_asked_to(tmp_path):
    model = residual()
    images, later = Pictures(model), Pictures(model)
    images.studies = later.studies = tmp_path
    first = study_of(model, images)
    groups = [g for g in first.channels.groups if not g.frozen]
    shallow = first.rankings(groups, depths=dict.fromkeys(groups, 2))
    assert any(r.depth < len(g.atoms) for g, r in shallow.items())
    again = study_of(model, later)
    twins = {g: again.group(g) for g in groups}
    read = again.rankings(list(twins.values()), depths=dict.fromkeys(twins.values(), 2))
    assert later.loaded == 0  # nor is anything ranked
    deep = again.rankings(list(twins.values()))
    for group, twin in twins.items():
        count = shallow[group].depth
        assert read[twin].order == shallow[group].order
        assert deep[twin].depth == len(group.atoms)
        assert deep[twin].order[:count] == shallow[group].order[:count]
    assert study_file.read(next(tmp_path.glob("*.json")), again.channels.groups)[0]


def test_effects_do_not_depend_on_how_many_groups_are_held_at_once(monkeypatch):
    model = residual()
    together, apart = Study(model, Pictures(model)), Study(model, Pictures(model))
    groups = [g for g in together.channels.groups if not g.frozen]
    assert len(groups) > 1
    wanted = together.sensitivity(groups)
    monkeypatch.setattr("core.compress.pruning.study.WEIGHTS_BYTES", 1)
    assert apart.sensitivity([apart.group(g) for g in groups]) == wanted
