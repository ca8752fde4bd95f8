"""Where int8 follows, channel counts are rounded as integer kernels were timed to want them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import pytest

from core.calibration.services import Lap, Race
from core.errors import (
    BackendUnavailable,
    CoreError,
    DataError,
    NotEnoughMemory,
    UnsupportedModel,
)
from core.passes.base import Report
from core.passes.prune_channels import PruneChannels
from core.pipeline import runner
from core.records import Recipe, Step
from core.wording import sentence, sentences
from tests.analysis.nets import head, image
from tests.builders import Images, kinds

BLOCKS = 12
WIDTHS = {"a": 24, "b": 48, "c": 96}


def net() -> ir.Model:
    """Inner groups of 24, 48 and 96 channels."""
    made = image()
    x = made.add("Relu", made.conv("x", 3, 16, name="stem"))
    for name, width in WIDTHS.items():
        y = made.add("Relu", made.conv(x, 16, width, name=name))
        x = made.add("Relu", made.add("Add", x, made.conv(y, width, 16, name=f"{name}2")))
    return head(made, x, 16)


def widths(model: ir.Model) -> dict[str, int]:
    """Output channels of the inner convolutions."""
    found = {n.name: n.inputs[1] for n in model.graph if n.name in WIDTHS}
    return {name: weight.shape[0] for name, weight in found.items()}


class Timed(Images):
    """Images with a stopwatch: integer kernels that work in blocks of so many channels."""

    def __init__(self, model: ir.Model, block: int) -> None:
        super().__init__(model)
        self.block, self.backends = block, set[str]()
        self.raced: list[dict[str, int]] = []

    def stopwatch(self, backend: str) -> Race:
        self.backends.add(backend)

        def race(
            contestants: Sequence[ir.Model], sessions: int = 1, brief: bool = False
        ) -> list[Lap]:
            for contestant in contestants:
                assert "QuantizeLinear" in kinds(contestant)
                self.raced.append(_inner(contestant))
            return [Lap((self._seconds(c),) * BLOCKS) for c in contestants]

        return race

    def _seconds(self, model: ir.Model) -> float:
        return float(sum(math.ceil(w / self.block) * self.block for w in _inner(model).values()))


def _inner(model: ir.Model) -> dict[str, int]:
    nodes = {n.name: n for n in model.graph}
    return {name: nodes[name].outputs[0].shape[1] for name in WIDTHS}  # type: ignore[index,misc]


def cut(block: int, **params: Any) -> tuple[dict[str, int], Report, Timed]:
    model, report = net(), Report()
    images = Timed(model, block)
    images.integers_on = "openvino"
    PruneChannels(repair=False, criterion="l1", **params).apply(model, report, images)
    return widths(model), report, images


@pytest.mark.parametrize("wish", [{"ratio": 0.4}, {"budget": "macs", "target": 0.6}])
@pytest.mark.parametrize("block", [16, 32])
def test_the_multiple_that_was_fastest_is_taken(block: int, wish: dict[str, Any]):
    after, report, images = cut(block, **wish)
    assert all(w % block == 0 for n, w in after.items() if w != WIDTHS[n])
    assert images.backends == {"openvino"}
    assert any("int8 follows, and on openvino" in note for note in sentences(report.notes))
    assert sum(after.values()) < sum(WIDTHS.values())


def test_a_group_that_stays_whole_is_told_the_multiple_that_was_taken():
    after, report, _ = cut(32, ratio=0.4)
    assert after["a"] == WIDTHS["a"]
    reasons = [sentence(skip.reason) for skip in report.skipped]
    assert "keeps its 24 channels: rounded to a multiple of 32" in reasons


def test_the_ratio_is_met_on_the_whole_also_then():
    after, _, _ = cut(16, ratio=0.4)
    assert sum(after.values()) == pytest.approx(0.6 * sum(WIDTHS.values()), abs=16)


def test_rounding_by_width_stays_where_no_other_is_faster():
    after, report, images = cut(1, ratio=0.4)
    plain = net()
    PruneChannels(repair=False, criterion="l1", ratio=0.4).apply(plain, Report(), Images(plain))
    assert images.raced
    assert after == widths(plain)
    assert not any("int8 follows" in note for note in sentences(report.notes))


def test_a_multiple_that_was_asked_for_is_not_raced():
    after, _, images = cut(16, ratio=0.4, multiple=4)
    assert not images.raced
    assert any(w % 16 for w in after.values())


@pytest.mark.parametrize("error", [BackendUnavailable, DataError, UnsupportedModel])
def test_a_race_that_fails_leaves_the_rounding_by_width_and_says_so(error: type[CoreError]):
    class Gone(Timed):
        def stopwatch(self, backend: str) -> Race:
            def race(*_: Any, **__: Any) -> list[Lap]:
                raise error("there is no clock")

            return race

    model = net()
    images = Gone(model, 16)
    images.integers_on = "openvino"
    report = Report()
    PruneChannels(repair=False, criterion="l1", ratio=0.4).apply(model, report, images)
    plain = net()
    PruneChannels(repair=False, criterion="l1", ratio=0.4).apply(plain, Report(), Images(plain))
    assert widths(model) == widths(plain)
    assert any("there is no clock" in note for note in sentences(report.notes))


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (Step("quantize_int8", {"backend": "openvino"}), "openvino"),
        (Step("quantize_int8", {"backend": "generic"}), ""),
        (Step("convert_precision"), ""),
        (Step("no_such_pass"), ""),
    ],
)
@pytest.mark.parametrize("between", [(), (Step("no_such_pass"),)])
def test_the_runner_tells_a_step_whose_integer_kernels_follow(
    later: Step, told: str, between: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
):
    heard: list[str] = []

    def apply(self: PruneChannels, graph: ir.Model, report: Report, statistics: Images) -> None:
        heard.append(statistics.integers_on)

    monkeypatch.setattr(PruneChannels, "apply", apply)
    model = net()
    runner.apply(model, Recipe("both", (Step("prune_channels"), *between, later)), Images(model))
    assert heard == [told]


def test_a_step_refused_for_memory_brings_no_integer_kernels(monkeypatch: pytest.MonkeyPatch):
    heard: list[str] = []

    def apply(self: PruneChannels, graph: ir.Model, report: Report, services: Images) -> None:
        heard.append(services.integers_on)

    def refusals(*_: Any) -> tuple[NotEnoughMemory | None, ...]:
        return None, NotEnoughMemory("too large", "less")

    monkeypatch.setattr(PruneChannels, "apply", apply)
    monkeypatch.setattr(runner.plan, "refusals", refusals)
    model = net()
    steps = Step("prune_channels"), Step("quantize_int8")
    runner.apply(model, Recipe("both", steps), Images(model))
    assert heard == [""]
