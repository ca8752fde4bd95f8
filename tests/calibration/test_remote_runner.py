"""Outputs on a backend: they are its own, a death is a reason, and another way is found."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from core.calibration import Probe, remote_runner, targets
from core.compress.quantization import partition
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.prepare import prepared
from core.compress.quantization.target_scheme import scheme
from core.devices.local import device
from core.errors import BackendUnavailable, CoreError, InferenceFailed
from core.passes.base import Report
from core.passes.quantize_int8.fitting import Way, fitted, say_outcome
from core.wording import sentences
from tests.compress.quantization.nets import Random, logits, parsed, residual


class Spoilt:
    """A backend that scales what some graphs compute; `factor` says by how much."""

    label = "Spoilt"

    def __init__(self, factor):
        self.factor, self.asked = factor, 0

    def __call__(self, graph, feeds):
        self.asked += 1
        names = [v.name for v in graph.graph.outputs]
        run, factor = Probe(graph, names, threads=1).run, self.factor(graph)
        if factor is None:
            raise InferenceFailed("no such kernel")
        return [{n: factor * a for n, a in run(f).items()} for f in feeds]

    def close(self):
        """Nothing to close."""


@pytest.mark.backend
def test_the_outputs_are_those_of_the_backend_and_its_process_stays():
    away = remote_runner.Elsewhere("onnxruntime")
    try:
        feeds = list(Random(count=8, batch=2).feeds())
        for graph in (residual(), residual(seed=3)):
            run = Probe(graph, ["y"], threads=1).run
            for found, feed in zip(away(graph, feeds), feeds, strict=True):
                np.testing.assert_allclose(found["y"], run(feed)["y"], atol=1e-5)
        first = away._worker._channel.pid
        broken = residual()
        next(n for n in broken.graph if n.op_type == "Softmax").op_type = "NoSuchOperator"
        with pytest.raises(CoreError, match="NoSuchOperator"):
            away(broken, feeds)
        assert away(residual(), feeds)[0]["y"].shape == (2, 5)
        assert away._worker._channel.pid == first
    finally:
        away.close()


@pytest.mark.backend
def test_a_graph_that_ends_the_process_is_a_reason_and_the_next_one_runs(monkeypatch):
    class Deadly(device.Child):
        def request(self, call, args, *more):
            if deadly:
                os.killpg(self.pid, signal.SIGSEGV)
            return super().request(call, args, *more)

    monkeypatch.setattr(device, "Child", Deadly)
    away, feeds = remote_runner.Elsewhere("onnxruntime"), list(Random(count=4).feeds())
    try:
        deadly = True
        with pytest.raises(CoreError, match="SIGSEGV"):
            away(residual(), feeds)
        deadly = False
        assert away(residual(), feeds)[0]["y"].shape == (4, 5)
    finally:
        away.close()


def test_a_backend_that_is_not_there_is_said_to_be_so():
    with pytest.raises(BackendUnavailable, match="no backend named"):
        remote_runner.Elsewhere("nowhere")


def judge_of(backend, model=None):
    graph = headless(prepared(model or residual()))
    return graph, Evaluator(graph, CalibrationSplit(Random(count=64)), backend=backend)


def test_a_graph_is_judged_by_what_the_backend_makes_of_it():
    graph, evaluator = judge_of(Spoilt(lambda _: 1.1))
    assert evaluator.error(graph) == pytest.approx(0.01, rel=1e-3)
    assert evaluator.error_as_written(graph) < 1e-9
    assert evaluator.few(8).error(graph) < 1e-9
    assert evaluator.images == Evaluator(graph, CalibrationSplit(Random(count=64))).images


def test_no_outputs_are_an_endless_error_with_a_reason():
    graph, evaluator = judge_of(Spoilt(lambda _: None))
    assert evaluator.error(graph) == float("inf")
    assert "no such kernel" in evaluator.reason


def test_one_image_after_another_unless_the_model_takes_several_at_once():
    sizes = []

    class Counting(Spoilt):
        def __call__(self, graph, feeds):
            sizes.append({len(f["x"]) for f in feeds})
            return super().__call__(graph, feeds)

    model = parsed("g (float[4, 3] x) => (float[4, 3] y) { y = Relu(x) }", {})
    for given, data in ((residual(), Random(count=32)), (model, Random((3,), count=32))):
        graph = headless(prepared(given))
        Evaluator(graph, CalibrationSplit(data), backend=Counting(lambda _: 1.0)).error(graph)
    assert sizes == [{1}, {4}]


def signed(graph):
    zeros = [n.inputs[2].const_value.dtype.name for n in graph.graph if "Quantize" in n.op_type]
    return "INT8" in [z for z in zeros if z in ("INT8", "UINT8")][:1]


def fit(factor, model=None):
    backend = Spoilt(factor)
    source = prepared(model or residual())
    graph, evaluator = judge_of(backend, model)
    used = replace(scheme("openvino", targets.int8()["openvino"], "s8"), saturates=False)
    report = Report()
    from core.passes.quantize_int8.steps import Settings, Work  # the pass's own quick quantizing

    settings = Settings(used, None, "auto", False, "nearest", False, frozenset(), frozenset())
    images = CalibrationSplit(Random(count=64))
    work = Work(source, source.clone(), settings, report, images, None, backend)
    way = Way(partition.select(graph), frozenset(), used)
    found = fitted(source, way, evaluator, work._quick, report)
    return way, found, evaluator, " ".join(sentences(report.notes)), backend


def test_a_true_backend_is_asked_once():
    way, found, _, notes, backend = fit(lambda _: 1.0)
    assert found is way
    assert not notes
    assert backend.asked == 1


def test_where_signed_activations_go_wrong_unsigned_ones_are_taken():
    way, found, _, notes, _ = fit(lambda graph: 2.0 if signed(graph) else 1.0)
    assert not found.scheme.signed
    assert found.selection.nodes == way.selection.nodes
    assert "computes something else than the file says" in notes
    assert "activations are unsigned" in notes


def test_where_a_sum_goes_wrong_it_stays_float():
    def factor(graph):
        add = next(n for n in graph.graph if n.op_type == "Add")
        fused = any(use.node.op_type == "QuantizeLinear" for use in add.outputs[0].uses())
        return 2.0 if fused else 1.0

    way, found, _, notes, _ = fit(factor)
    assert set(found.selection.nodes) == set(way.selection.weighted)
    assert "only layers with weights compute in integers" in notes


def test_where_the_first_layer_goes_wrong_it_stays_float():
    def factor(graph):
        first = next(n for n in graph.graph if n.op_type == "Conv")
        return 2.0 if first.inputs[1].producer() is not None else 1.0

    way, found, _, notes, _ = fit(factor)
    assert found.selection.weighted == way.selection.weighted[1:]
    assert "the first layer stays float" in notes


def test_a_backend_without_outputs_leaves_the_judging_to_onnx_runtime():
    way, found, evaluator, notes, _ = fit(lambda _: None)
    assert found is way
    assert evaluator.backend is None
    assert "no such kernel" in notes


@pytest.mark.parametrize(("factor", "said"), [(1.0, False), (-1.0, True)])
def test_who_may_lose_more_than_promised_is_told(factor, said):
    graph, evaluator = judge_of(Spoilt(lambda _: factor), logits())
    report = Report()
    say_outcome(graph, evaluator, True, report)
    assert any("own outputs on" in note for note in sentences(report.notes))
    assert any("may lose more than 1 point" in note for note in sentences(report.notes)) == said
