"""No runtime chooses its arithmetic by itself where f32 was asked for; what may is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.backends import openvino
from core.backends.base import catalogue, dynamic, label, onnx_settings
from core.backends.base.dynamic import (
    DYNAMIC_INT8,
    FLOAT_ERROR,
    PROBE,
    PROBE_SHAPE,
    is_rounded,
    probe_feeds,
)
from core.errors import BackendUnavailable
from core.formats.base.artifacts import Artifacts
from core.measure import Setting, Source, Verifier
from core.measure.verify import REFERENCE, relative_rms
from core.records import RunOptions
from core.worker.client import Worker
from tests.builders import graph
from tests.measure.subjects import admitted

pytestmark = pytest.mark.backend
ARTIFACTS = Artifacts()
BACKENDS = sorted(name for name, one in catalogue().items() if not one.facts.internal)
DYNAMIC = [name for name in BACKENDS if DYNAMIC_INT8 in catalogue()[name].precisions]


def probe() -> bytes:
    """The model of `PROBE`: one product with int8 weights, and with the same ones in float."""
    rows, columns = PROBE_SHAPE[1], 16
    stored = np.random.default_rng(0).integers(-127, 128, (rows, columns)).astype(np.int8)
    scales = np.full(columns, 0.125, np.float32)
    made = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=1),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("MatMul", ["x", "f"], ["exact"]),
        ],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, PROBE_SHAPE)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (PROBE_SHAPE[0], columns))
            for name in ("y", "exact")
        ],
        [
            numpy_helper.from_array(stored, "q"),
            numpy_helper.from_array(scales, "s"),
            numpy_helper.from_array(stored * scales, "f"),
        ],
    )
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()


def test_the_probe_is_what_its_source_makes():
    assert onnx.load(PROBE) == onnx.load_from_string(probe())


def test_a_rounded_product_is_seen_and_an_exact_one_is_not():
    exact = np.random.default_rng(1).normal(size=(2, 16))
    scale = float(np.sqrt(np.mean(exact**2)))
    for error, rounded in ((0.1 * FLOAT_ERROR, False), (10 * FLOAT_ERROR, True)):
        off = {"y": exact + error * scale, "exact": exact}
        assert is_rounded(lambda feeds, off=off: off) is rounded


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_f32_rounds_no_product(name: str, threads: int):
    if threads > 1 and catalogue()[name].facts.one_core:
        pytest.skip(f"{name} has one core")
    session = _session(name, PROBE, RunOptions(threads))
    assert session.precision == "f32"
    given = list(session.run(probe_feeds()).values())
    session.close()
    assert relative_rms(given[1], given[0]) < FLOAT_ERROR


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_int8_is_what_it_is_called_or_is_refused(name: str):
    session = _session(name, PROBE, RunOptions(1, DYNAMIC_INT8))
    rounded = is_rounded(session.run)
    if rounded:
        assert session.precision == DYNAMIC_INT8
    else:
        with pytest.raises(BackendUnavailable, match="quantizes nothing by itself on this CPU"):
            assert session.precision
    session.close()


@pytest.mark.parametrize("name", DYNAMIC)
def test_a_cpu_without_it_is_told_so(name: str, monkeypatch: pytest.MonkeyPatch):
    """As where OpenVINO finds no VNNI: the property may read as it likes, nothing is rounded."""
    monkeypatch.setattr(dynamic, "is_rounded", lambda run: False)
    session = _session(name, PROBE, RunOptions(1, DYNAMIC_INT8))
    with pytest.raises(BackendUnavailable, match="quantizes nothing by itself on this CPU"):
        assert session.precision


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_int8_is_verified_like_any_other_precision(name: str, tmp_path: Path):
    model, setting = admitted(_product(), tmp_path), Setting.of(f"{name}:{DYNAMIC_INT8}")
    try:
        with Worker(model, lambda: False) as worker:
            worker.prepare(model, Source(), 4)
            reply = worker.load("b", model, setting)
            Verifier(Source(), lambda: False).check(worker, "b", model, setting)
    except BackendUnavailable as error:
        pytest.skip(error.message)
    assert reply.precision == DYNAMIC_INT8


def test_openvino_refuses_to_run_where_a_property_did_not_take(monkeypatch: pytest.MonkeyPatch):
    """As a version would be that takes the group size and keeps its own."""
    read = openvino.OpenVinoSession._property

    def stubborn(session: openvino.OpenVinoSession, name: str) -> str:
        return "32" if name == openvino.GROUP else read(session, name)

    monkeypatch.setattr(openvino.OpenVinoSession, "_property", stubborn)
    with pytest.raises(BackendUnavailable, match="GROUP_SIZE at 32, not at 0"):
        _session("openvino", PROBE, RunOptions())


def test_onnx_runtime_refuses_to_run_where_an_option_did_not_take(monkeypatch: pytest.MonkeyPatch):
    made = onnx_settings.settings(RunOptions(1, DYNAMIC_INT8))
    monkeypatch.setattr(onnx_settings, "settings", lambda options: made)
    with pytest.raises(BackendUnavailable, match="accuracy_level at '4', not at '1'"):
        _session(REFERENCE, PROBE, RunOptions())


def test_the_name_of_a_precision_is_read_as_words():
    assert label(f"{REFERENCE}:{DYNAMIC_INT8}") == "ONNX Runtime dynamic int8"


def _product():
    weights = np.random.default_rng(0).integers(-127, 128, (32, 16)).astype(np.int8)
    return graph(
        """(float[N,32] x) => (float[N,16] y) {
        w = DequantizeLinear <axis=1> (q, s) y = MatMul (x, w) }""",
        q=weights, s=np.full(16, 0.01, np.float32),
    )  # fmt: skip


def _session(name: str, model: Path, options: RunOptions):
    backend = catalogue()[name]
    try:
        backend.version()
    except BackendUnavailable as error:
        pytest.skip(error.message)
    return backend.load(ARTIFACTS.of_file(model, backend.accepts[0]).path, options)
