"""Side by side: every number says what it holds under; nothing is weighed across conditions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.charts.compare import Row, Side, obstacles, side_by_side
from core.records import Run
from tests.charts import builders as b


def side(run: Run, at: int = 1, name: str = "") -> Side:
    return Side(run, run.outcomes[at], name)


def row(sides: list[Side], name: str) -> Row:
    return next(row for row in side_by_side(sides) if row.name == name)


def elsewhere(**changes: object) -> Run:
    """The same run with its rows on another host."""
    host = replace(b.HOST, **changes)
    rows = tuple(
        replace(m, target=host.target(m.backend, 1)) if m.backend else m for m in b.measurements()
    )
    return b.run(id="other", host=host, measurements=rows)


def here() -> Run:
    return elsewhere()


def test_every_number_has_its_interval_and_its_verdict():
    sides = [side(b.run(), at) for at in range(3)]
    latency = row(sides, "Median latency, OpenVINO")
    assert [cell.value for cell in latency.cells] == ["1.80 ms", "1.10 ms", "0.700 ms"]
    assert "1.64× faster (×0.60 … ×0.62 of the original's time)" in latency.cells[1].note
    assert "95 %: 1.08 … 1.12 ms" in latency.cells[1].note
    accuracy = row(sides, "Top-1, OpenVINO")
    assert "−3.6 points (−4.1 … −3.1)" in accuracy.cells[1].note
    assert row(sides, "Recipe").cells[1].value == "Fold batch norms + Prune channels 30 %"
    assert row(sides, "File size").cells[2].note == "−74 % against the original"


def test_what_failed_says_why():
    cell = row([side(b.run(), 1), side(b.run(), 2)], "Median latency, OpenCV DNN").cells[1]
    assert (cell.value, cell.best) == ("", "")
    assert "cannot load QuantizeLinear" in cell.note


def test_the_fastest_is_so_beyond_all_intervals():
    found = row([side(b.run(), 1), side(b.run(), 2)], "Median latency, OpenVINO")
    assert [cell.best for cell in found.cells] == ["", "fastest"]
    same = row([side(b.run(), 1), side(b.run(), 1)], "Median latency, OpenVINO")
    assert [cell.best for cell in same.cells] == ["", ""]
    accuracy = row([side(b.run(), 1), side(b.run(), 2)], "Top-1, OpenVINO")
    assert [cell.best for cell in accuracy.cells] == ["", "most accurate"]


def test_the_original_is_weighed_too():
    """It has no ratio of its own: of two slower candidates none is the fastest beside it."""
    slower = tuple(
        replace(m, value=m.value + 1, low=m.low + 1, high=m.high + 1)
        if m.metric == "latency_ratio" and m.value
        else m
        for m in b.measurements()
    )
    for rows, expected in ((slower, ["fastest", "", ""]), (b.measurements(), ["", "", "fastest"])):
        sides = [side(b.run(measurements=rows), at) for at in range(3)]
        found = row(sides, "Median latency, OpenVINO")
        assert [cell.best for cell in found.cells] == expected


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (elsewhere(cpu="another"), "other machine"),
        (elsewhere(versions={**b.HOST.versions, "openvino": "9"}), "other version"),
    ],
)
def test_other_machines_and_versions_are_labelled_and_not_weighed(other, apart):
    found = row([side(here(), 1), side(other, 2)], "Median latency, OpenVINO")
    assert [cell.apart for cell in found.cells] == ["", apart]
    assert [cell.best for cell in found.cells] == ["", ""]
    assert (
        row([side(here(), 1), side(other, 2)], "Versions" if "version" in apart else "Machine")
        .cells[1]
        .apart
    )


def test_obstacles_are_said_once_for_all():
    assert not obstacles([side(here()), side(here())])
    said = " ".join(obstacles([side(here()), side(elsewhere(cpu="another")), side(here())]))
    assert "different machines" in said
    scored = replace(b.run(), spec=replace(b.run().spec, evaluation="9" * 64))
    assert "different images" in " ".join(obstacles([side(b.run()), side(scored)]))


@pytest.mark.parametrize("run", [b.without_data(), b.without_labels(), b.hostile(), b.unstable()])
def test_every_state_stands_side_by_side(run):
    found = side_by_side([side(run, 1), side(run, 2), side(b.run(), 1)])
    assert all(len(row.cells) == 3 for row in found)
