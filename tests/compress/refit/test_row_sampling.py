"""Rows as they are kept give the sums, and the targets that a Relu leaves free."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.shapes import facts
from core.compress.linalg.parallel import ahead
from core.compress.refit.linear_layers import find
from core.compress.refit.normal_equations import Gram, Shift
from core.compress.refit.residual_targets import ResidualTarget, residual_target
from core.compress.refit.row_sampling import Room, Rows
from tests.analysis.nets import head, image


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("branch", [False, True])
@pytest.mark.parametrize("ceiling", [np.inf, 0.8])
def test_targets_move_to_the_prediction_where_the_activation_is_flat(groups, branch, ceiling):
    random = np.random.default_rng(0)
    scale, shift = np.array([0.5, -2.0, 1.0, 1.5]), np.array([0.1, 0.0, -0.3, 0.2])
    goal = ResidualTarget("z", scale, shift, "s" if branch else "", 0.0, ceiling)
    x = np.float32(random.normal(3, 1, (90, 3 * groups)))
    wanted = np.float32(random.normal(size=(90, 4)))
    other = np.float32(random.normal(size=(90, 4))) if branch else None
    weights = random.normal(size=(groups, 4 // groups, 3))
    bias, matter = random.normal(size=(groups, 4 // groups)), random.uniform(0.5, 2, 90)
    targets = goal.targets(wanted, other)
    rows = Rows(groups, (40, 50), Shift.of(x, targets, groups), True, Room())
    for part in (slice(0, 40), slice(40, 90)):
        rest = None if other is None else other[part]
        bounds = goal.bounds(wanted[part], rest, targets[part])
        rows.put(part.start, x[part], targets[part], bounds, matter[part])
    fitted, judged = rows.sums()
    both = fitted.merged(judged).moments()
    got = rows.moved(both, weights, bias)

    blocks = x.reshape(90, groups, 3)
    output = np.einsum("ngd,god->ngo", blocks, weights).reshape(90, 4) + bias.reshape(-1)
    tensor = output * scale + shift + (0 if other is None else other)
    bent = np.where(wanted > 0, wanted, np.minimum(tensor, 0))
    bent = np.where(wanted >= ceiling, np.maximum(tensor, ceiling), bent)
    plain = Gram(groups)
    plain.add(x, goal.targets(np.float32(bent), other), matter)
    expected = plain.moments()
    for name in ("second", "cross", "mean_in", "mean_out"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=2e-4)
    assert fitted.count == pytest.approx(matter[:40].sum())
    assert got.count == pytest.approx(matter.sum())


def test_room_is_used_again():
    room = Room()
    first = room.floats("rows", 4, 5)
    assert np.shares_memory(first, room.floats("rows", 2, 3))
    assert not np.shares_memory(first, room.floats("low", 2, 3))
    assert room.floats("rows", 6, 7).shape == (6, 7)


def test_work_ahead_comes_in_order_and_its_errors_come_too():
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item * item

    assert list(ahead(map(work, [0, 2, 1]))) == [0, 4, 1]
    assert list(ahead(map(work, []))) == []
    found = ahead(map(work, [1, 3, 2]))
    assert next(found) == 1
    with pytest.raises(ValueError, match="three"):
        next(found)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (("Relu", {}, ()), (0, np.inf)),
        (("Clip", {}, (0.0, 6.0)), (0, 6)),
        (("Clip", {}, ()), (-np.inf, np.inf)),
        (("HardSwish", {}, ()), (-3, np.inf)),
        (("Sigmoid", {}, ()), (-np.inf, np.inf)),
    ],
)
def test_where_an_activation_is_flat_is_read_from_the_graph(node, expected):
    op, attributes, limits = node
    net = image()
    x = net.conv("x", 3, 8, name="a")
    x = net.add(op, x, *[net.const(np.float32(v)) for v in limits], **attributes)
    model = head(net, x, 8)
    order = {v.name: i for i, n in enumerate(model.graph) for v in n.outputs}
    found = residual_target(
        next(layer for layer in find(model) if layer.name == "a"), order, facts(model)
    )
    assert (found.floor, found.ceiling) == expected
    assert found.rectified == (expected != (-np.inf, np.inf))
