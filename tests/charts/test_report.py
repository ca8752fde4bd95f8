"""The report: one small file without a script, with the conditions of every number."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from core.charts.front_picture import front_picture, ticks
from core.charts.report import MOST_CHARTED, report_html
from core.charts.tradeoff import drawn
from core.records import Candidate, Outcome, Run
from tests.charts import builders as b
from tests.charts.test_card import collisions, outside


def large(count: int = 60) -> Run:
    """A sweep of so many recipes, every one on three backends."""
    run = b.run()
    outcomes, rows = [run.outcomes[0]], [r for r in run.measurements if r.candidate == b.BASE]
    like = [r for r in run.measurements if r.candidate == b.PRUNED]
    for at in range(count):
        digest = f"{at:064x}"
        recipe = replace(b.RECIPES[1], name=f"recipe number {at}, with a name of some length")
        outcomes.append(Outcome(recipe, Candidate(digest, Path("y"), recipe), b.summary(digest)))
        rows += [
            replace(r, candidate=digest, value=r.value * (1 + at / 500)) if r.value else r
            for r in like
        ]
        rows += [
            replace(r, condition={**r.condition, "beside": digest})
            for r in run.measurements
            if r.candidate == b.BASE and r.metric == "latency_ms"
        ]
    spec = replace(run.spec, recipes=(b.RECIPES[0], *(o.recipe for o in outcomes[1:])))
    return replace(run, spec=spec, outcomes=tuple(outcomes), measurements=tuple(rows))


def test_it_is_small_without_a_script():
    page = report_html(b.run(), "https://lathe.example.com/?run=run-1")
    assert len(page.encode()) < 100_000
    assert "<script" not in page
    assert page.count("<svg") == 2 + 2 * 3


def test_sixty_recipes_are_within_a_megabyte_and_all_have_their_numbers():
    page = report_html(large())
    assert len(page.encode()) <= 1_000_000
    assert page.count("recipe number 59") > 20
    assert 2 < page.count("<svg") <= 2 + 3 * MOST_CHARTED


def test_every_number_of_a_backend_says_what_it_holds_under():
    page = report_html(b.run())
    body = page.partition("Every row")[2]
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", body.partition("</table>")[0])[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in lines]
    of_backends = [row for row in cells if row[1]]
    assert of_backends
    assert all(re.fullmatch(r"\(\d+\)", row[-1]) for row in of_backends)
    assert "1 thread, input 1×3×64×64" in body
    assert "2,000 images" in body


def test_the_trade_off_is_drawn_without_collisions():
    found, axis = drawn(b.run(), "latency")
    picture = front_picture("Accuracy against latency", found, axis, "top-1 (%)")
    assert not collisions(picture)
    assert not outside(picture)


@pytest.mark.parametrize(("low", "high"), [(0.0, 4.0), (86.1, 94.9), (0.0, 1e-4), (0.0, 3e6)])
def test_ticks_are_round_and_within(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert low <= found[0] < found[-1] <= high * 1.0001
