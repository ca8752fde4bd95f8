"""The runner: each step on a copy, verified, and undone with its reason when it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir
import pytest

from core import graph as graphs
from core.calibration.services import Services
from core.errors import PassPrecondition
from core.passes import base
from core.passes.base import Graph, Pass, Report
from core.pipeline import runner
from core.records import Note, Recipe, Step, StepReport
from core.wording import sentence, sentences
from tests.builders import Images, graph, kinds, same

Work = Callable[[Graph, Report], None]


@pytest.fixture
def net() -> Graph:
    return graph(
        "(float[N,6] x) => (float[N,4] y) { a = MatMul (x, w) b = Relu (a) y = Add (b, k) }",
        w=(6, 4), k=(4,),
    )  # fmt: skip


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Step]:
    """Registers a pass that does `work`, and gives its step."""
    made: list[str] = []

    def register(work: Work, promise: bool = False) -> Step:
        @dataclass(frozen=True)
        class Fake(Pass):
            """A pass of this test."""

            label: ClassVar[str] = "Fake"
            help: ClassVar[str] = "A fake."
            exact: ClassVar[bool] = promise

            def apply(self, graph: Graph, report: Report, statistics: Services) -> None:
                work(graph, report)

        name = f"fake_{len(made)}"
        made.append(name)
        monkeypatch.setitem(base.catalogue(), name, Fake)  # type: ignore[arg-type]
        return Step(name)

    return register


def first(made: Graph, kind: str) -> ir.Node:
    return next(node for node in made.graph if node.op_type == kind)


def scale(factor: float) -> Work:
    def work(made: Graph, report: Report) -> None:
        value = made.graph.initializers["w"]
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name="w")
        report.changed += 1
        report.note(Note.text("scaled"))
        report.warn(Note.text("not for scales"))

    return work


def one(net: Graph, made: Step) -> tuple[Graph, StepReport]:
    result, (report,) = runner.apply(net, Recipe("r", (made,)))
    return result, report


def test_no_step_is_the_baseline(net: Graph):
    made, reports = runner.apply(net, Recipe("baseline"))
    assert reports == ()
    assert made is not net
    assert graphs.serialize(made) == graphs.serialize(net)


def test_the_graph_of_the_caller_stays_untouched(net: Graph, step):
    before = graphs.serialize(net)
    made, report = one(net, step(scale(2.0)))
    assert (report.changed, sentences(report.notes), report.reverted) == (1, ("scaled",), "")
    assert (sentences(report.warnings), report.failure) == (("not for scales",), "")
    assert report.seconds > 0
    assert graphs.serialize(net) == before != graphs.serialize(made)


def test_a_failing_step_is_undone_and_the_rest_goes_on(net: Graph, step):
    def fail(made: Graph, report: Report) -> None:
        scale(100.0)(made, report)
        report.skip("a", Note.of("as_asked"))
        raise PassPrecondition("It cannot be done.")

    seen: list[str] = []
    recipe = Recipe("r", (step(scale(2.0)), step(fail), step(scale(3.0))))
    made, reports = runner.apply(net, recipe, progress=lambda s: seen.append(s.pass_name))
    assert [r.reverted for r in reports] == ["", "It cannot be done.", ""]
    assert [r.changed for r in reports] == [1, 0, 1]
    assert sentence(reports[1].skipped[0].reason) == "left alone as asked"
    assert seen == [s.pass_name for s in recipe.steps]
    expected, _ = one(net, step(scale(6.0)))
    same(expected, made)


def test_a_defect_of_a_pass_costs_only_its_step(net: Graph, step, caplog):
    def crash(made: Graph, report: Report) -> None:
        raise ZeroDivisionError

    made, report = one(net, step(crash))
    assert "a defect of Lathe" in report.reverted
    assert "Error" not in report.reverted
    assert graphs.serialize(made) == graphs.serialize(net)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("made", [Step("nothing"), Step("prune_channels", {"ratio": 7})])
def test_a_step_that_does_not_exist_is_reverted(net: Graph, made: Step):
    assert one(net, made)[1].reverted


def rename_input(made: Graph, report: Report) -> None:
    made.graph.inputs[0].name = "z"


def rename_output(made: Graph, report: Report) -> None:
    made.graph.outputs[0].name = "z"


def retype(made: Graph, report: Report) -> None:
    made.graph.inputs[0].type = ir.TensorType(ir.DataType.DOUBLE)


def reshape(made: Graph, report: Report) -> None:
    made.graph.inputs[0].shape = ir.Shape(["N", 7])


def drop_output(made: Graph, report: Report) -> None:
    made.graph.outputs.clear()


def break_order(made: Graph, report: Report) -> None:
    node = first(made, "MatMul")
    made.graph.remove(node)
    made.graph.append(node)


def unknown_operator(made: Graph, report: Report) -> None:
    first(made, "Relu").op_type = "Melt"


def same_names(made: Graph, report: Report) -> None:
    for node in made.graph:
        node.name = "twin"


def wrong_weight(made: Graph, report: Report) -> None:
    value = made.graph.initializers["w"]
    value.const_value = ir.tensor(np.ones((5, 4), np.float32), name="w")
    value.shape = ir.Shape([5, 4])


def empty_weight(made: Graph, report: Report) -> None:
    for name, shape in (("w", (6, 0)), ("k", (0,))):
        value = made.graph.initializers[name]
        value.const_value = ir.tensor(np.ones(shape, np.float32), name=name)
        value.shape = ir.Shape(shape)
    made.graph.outputs[0].shape = ir.Shape(["N", 0])


def not_finite(made: Graph, report: Report) -> None:
    scale(np.inf)(made, report)


BROKEN = {
    rename_input: "The inputs were 'x' and became 'z'",
    rename_output: "The outputs were 'y' and became 'z'",
    drop_output: "The outputs were 'y' and became",
    retype: "was of type float32 and became float64",
    reshape: "was of shape ['N', 6] and became ['N', 7]",
    break_order: "specification",
    unknown_operator: "specification",
    same_names: "occur more than once: 'twin'",
    wrong_weight: "",
    empty_weight: "",
    not_finite: "no longer finite",
}


@pytest.mark.parametrize("work", BROKEN, ids=lambda work: work.__name__)
def test_a_broken_graph_is_undone_with_its_reason(net: Graph, step, work: Work):
    made, report = one(net, step(work))
    assert report.reverted
    assert BROKEN[work] in report.reverted
    assert graphs.serialize(made) == graphs.serialize(net)


def test_an_exact_pass_is_held_to_its_promise(net: Graph, step):
    assert one(net, step(scale(1.5)))[1].reverted == ""
    assert "more than rounding" in one(net, step(scale(1.5), True))[1].reverted
    assert one(net, step(scale(1.0001), True))[1].reverted == ""


def test_each_step_is_compared_with_the_one_before(net: Graph, step):
    recipe = Recipe("r", (step(scale(3.0)), step(scale(1.0), True)))
    _, reports = runner.apply(net, recipe)
    assert [r.reverted for r in reports] == ["", ""]


def test_a_model_that_never_ran_is_said_not_to_be_verified(step):
    strange = graph(
        "(float[N,6] x) => (float[N,6] y) { a = Relu (x) y = unknown.Magic (a) }",
        domains='"unknown" : 1',
    )
    _, report = one(strange, step(lambda made, report: None))
    assert report.reverted == ""
    assert "Not verified by a run" in sentences(report.notes)[0]


def test_calibration_images_are_what_it_is_verified_on(net: Graph, step):
    data = Images(net, batches=1)
    runner.apply(net, Recipe("r", (step(scale(2.0)),)), data)
    assert data.reads == 1


def test_a_preview_runs_nothing_and_says_what_it_knows(net: Graph):
    recipe = Recipe("r", (Step("prune_weights"), Step("quantize_static"), Step("nothing")))
    made, reports, exact = runner.preview(net, recipe)
    assert exact
    assert [bool(r.reverted) for r in reports] == [False, False, True]
    assert "QuantizeLinear" in kinds(made)


def test_a_long_step_tells_where_it_is(net: Graph, step):
    def work(made: Graph, report: Report) -> None:
        report.tell("half", 0.5)
        report.tell("done", 1.0)

    told: list[tuple[str, str, float]] = []
    made = step(work)
    runner.apply(
        net,
        Recipe("r", (made,)),
        during=lambda step, sentence, share: told.append((step.pass_name, sentence, share)),
    )
    assert told == [(made.pass_name, "half", 0.5), (made.pass_name, "done", 1.0)]
    runner.apply(net, Recipe("r", (made,)))  # nobody listens


def test_every_step_can_ask_for_the_model_before_the_first(net: Graph, step):
    data, seen = Images(net), []

    def look(made: Graph, report: Report) -> None:
        seen.append((data.original, first(made, "MatMul") is not first(net, "MatMul")))

    runner.apply(net, Recipe("r", (step(scale(2.0)), step(look), step(look))), data)
    assert seen == [(net, True), (net, True)]
