"""The same cases for each backend, each in a worker: right as ONNX Runtime is, or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core import graph as graphs
from core.backends.base import catalogue
from core.calibration.services import NoServices
from core.errors import BackendUnavailable, CoreError, InferenceFailed
from core.measure import Setting, Source, Verifier, host
from core.measure.verify import BOUNDS, FEEDS, REFERENCE, relative_rms
from core.passes.base import Report
from core.passes.quantize_static import QuantizeStatic
from core.passes.quantize_weights import QuantizeWeights
from core.records import ModelSummary
from core.worker.client import Worker
from core.worker.protocol import Loaded
from tests.builders import Images, graph, norm, rewrite
from tests.measure.subjects import admitted, net

pytestmark = pytest.mark.backend
SAMPLES = Path(__file__).parents[2] / "sample_models"
BACKENDS = sorted(name for name, one in catalogue().items() if not one.facts.internal)
FLOAT_RMS = 1e-3  # bfloat16 keeps eight bits: it is off by 1e-2


def never() -> bool:
    return False


def _available(name: str) -> None:
    try:
        catalogue()[name].version()
    except BackendUnavailable as error:
        pytest.skip(f"{name}: {error.message} {error.remedy}")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    _available(request.param)
    return request.param


class Bench:
    """Two workers that live through many cases: one for a backend, one for the reference."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend, self.folder = backend, folder
        self.workers = {
            name: Worker(admitted(net(), folder), never) for name in {backend, REFERENCE}
        }

    def outputs(
        self, name: str, model: ModelSummary, source: Source | None = None, threads: int = 1
    ) -> dict[str, np.ndarray]:
        """What `name` computes on a few feeds, "FEED_OUTPUT" -> array."""
        worker, out = self.workers[name], self.folder / f"{name}.npz"
        worker.prepare(model, source or Source(), FEEDS)
        worker.load("model", model, Setting.of(name, threads))
        worker.run("model", out)
        with np.load(out) as arrays:
            return dict(arrays)

    def same(self, model: ModelSummary, source: Source | None = None, threads: int = 1) -> None:
        """Hold the backend to the reference."""
        wanted = self.outputs(REFERENCE, model, source)
        got = self.outputs(self.backend, model, source, threads)
        assert wanted.keys() == got.keys()
        for name, array in wanted.items():
            assert relative_rms(array, got[name]) < FLOAT_RMS

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


@pytest.fixture(scope="module")
def bench(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(backend, tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@contextmanager
def loaded(model: ModelSummary, setting: Setting) -> Iterator[tuple[Worker, Loaded]]:
    """A worker of its own that holds `model`, and what it answered to loading it."""
    with Worker(model, never) as worker:
        worker.prepare(model, Source(), FEEDS)
        yield worker, worker.load("model", model, setting)


# What every backend must run

NETS = {
    "plain": net,
    "residual": lambda: graph(
        """(float[N,3,8,8] x) => (float[N,4,H,W] y) { a = Conv <pads=[1,1,1,1]> (x, w)
        b = BatchNormalization (a, s, t, m, v) c = Conv <group=4, pads=[1,1,1,1]> (b, d)
        e = Add (b, c) f = Clip (e, low, high) y = MaxPool <kernel_shape=[2,2], strides=[2,2]> (f)
        }""",
        w=(4, 3, 3, 3), d=(4, 1, 3, 3), low=np.float32(0), high=np.float32(6), **norm(4),
    ),
    "branches": lambda: graph(
        """(float[N,3,8,8] x) => (float[N,8,H,W] y) { a = Conv (x, w) b = Sigmoid (a)
        c = Mul (a, b) y = Concat <axis=1> (a, c) }""",
        w=(4, 3, 1, 1),
    ),
    "two outputs": lambda: graph(
        """(float[N,3,8,8] x) => (float[N,4] y, float[N,5] z) { a = GlobalAveragePool (x)
        f = Flatten (a) y = Gemm <transB=1> (f, w, b) z = Gemm <transB=1> (f, u) }""",
        w=(4, 3), b=(4,), u=(5, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_small_nets(bench: Bench, name: str, tmp_path: Path):
    bench.same(admitted(NETS[name](), tmp_path))


@pytest.mark.parametrize("name", ["plain", "plain_bn", "resnet", "mobile"])
def test_the_sample_models_on_their_images(bench: Bench, name: str, tmp_path: Path):
    made = graphs.load(SAMPLES / f"{name}.onnx")
    source = Source(SAMPLES / "calibration.zip", "set", graphs.preprocess(made))
    bench.same(admitted(made, tmp_path, name), source)


@pytest.mark.parametrize("threads", [1, 2, 0])
def test_every_number_of_threads(bench: Bench, threads: int, tmp_path: Path):
    model = admitted(net(), tmp_path)
    if threads > 1 and catalogue()[bench.backend].facts.one_core:
        with pytest.raises(BackendUnavailable, match="one core"):
            bench.same(model, threads=threads)
        return
    bench.same(model, threads=threads)


def test_a_whole_set_is_evaluated_in_batches_that_change_nothing(bench: Bench, tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (37, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    model, source = admitted(net(), tmp_path), Source(tmp_path / "set.npz", "set")
    results = []
    for name in (REFERENCE, bench.backend):
        worker = bench.workers[name]
        worker.load("model", model, Setting.of(name))
        done = worker.evaluate("model", model, source, tmp_path / name, lambda _: None)
        assert done.images == 37
        results.append(np.load(tmp_path / name / "0.npy"))
    assert results[1].shape == (37, 6)
    assert relative_rms(*results) < FLOAT_RMS


def test_two_models_live_side_by_side(bench: Bench, tmp_path: Path):
    small, large = admitted(net(8), tmp_path, "small"), admitted(net(16), tmp_path, "large")
    worker, setting = bench.workers[bench.backend], Setting.of(bench.backend)
    worker.prepare(small, Source(), FEEDS)
    worker.load("model", small, setting)
    worker.load("other", large, setting)
    worker.run("model", tmp_path / "1.npz")
    worker.run("other", tmp_path / "2.npz")
    worker.unload("other")
    worker.run("model", tmp_path / "3.npz")
    first, other, again = (dict(np.load(tmp_path / f"{n}.npz")) for n in (1, 2, 3))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert relative_rms(first[name], other[name]) > 0.01


REFUSE_FEW_BITS = {
    "opencv_classic": "cannot read weights of few bits",
    "mnn": "wrote no file; the model has: BitwiseAnd",
}


@pytest.mark.parametrize("bits", ["8", "4", "3"])
def test_weights_of_few_bits_are_read_rightly_or_refused(bench: Bench, bits: str, tmp_path: Path):
    made = graphs.load(SAMPLES / "mobile.onnx")
    QuantizeWeights(bits=bits, edges=False).apply(made, Report(), NoServices())
    model = admitted(made, tmp_path, f"int{bits}")
    if bench.backend in REFUSE_FEW_BITS and bits != "8":
        with pytest.raises(CoreError, match=REFUSE_FEW_BITS[bench.backend]):
            bench.outputs(bench.backend, model)
    else:
        bench.same(model, Source(SAMPLES / "calibration.zip", "set", graphs.preprocess(made)))


def test_opencv_says_that_it_knows_no_4_bit_type(tmp_path: Path):
    _available("opencv")
    made = graphs.load(SAMPLES / "mobile.onnx")
    QuantizeWeights(bits="4", store="dequantize").apply(made, Report(), NoServices())
    model = admitted(made, tmp_path)
    refused = pytest.raises(InferenceFailed, match="as 4-bit weights are one")
    with refused, loaded(model, Setting.of("opencv")):
        pass


# Precision


def test_the_precision_is_read_back(bench: Bench, tmp_path: Path):
    model, setting = admitted(net(), tmp_path), Setting.of(bench.backend)
    reply = bench.workers[bench.backend].load("model", model, setting)
    assert reply.precision == "f32"
    assert reply.load_ns > 0


def test_openvino_computes_in_bf16_only_when_asked(tmp_path: Path):
    _available("openvino")
    model, setting = admitted(net(64), tmp_path), Setting.of("openvino:bf16")
    if not {"BF16", "AMX BF16"} & set(host().isa_flags):
        with pytest.raises(BackendUnavailable, match="not in bf16"), loaded(model, setting):
            pass
        return
    with loaded(model, setting) as (_, reply):
        assert reply.precision == "bf16"
    exact, f32, bf16 = (
        _first_output(tmp_path, model, spec) for spec in (REFERENCE, "openvino", "openvino:bf16")
    )
    assert relative_rms(exact, f32) < 1e-4 < relative_rms(exact, bf16) < BOUNDS["half"]


def _first_output(folder: Path, model: ModelSummary, spec: str) -> np.ndarray:
    with loaded(model, Setting.of(spec)) as (worker, _):
        worker.run("model", folder / "out.npz")
    with np.load(folder / "out.npz") as arrays:
        return arrays["0_0"]


# What a backend cannot run

BROKEN = {
    "an operator that nobody knows": lambda: graph(
        "(float[N,6] x) => (float[N,6] y) { y = unknown.Magic (x) }", domains='"unknown" : 1'
    ),
    "more channels than the input has": lambda: _illegal(),
    "a division that traps": lambda: graph(
        "(int64[1] x) => (int64[1] y) { a = Mul (x, zero) b = Add (a, low) y = Div (b, minus) }",
        zero=np.array([0]), low=np.array([np.iinfo(np.int64).min]), minus=np.array([-1]),
    ),
}  # fmt: skip


def _illegal() -> graphs.Graph:
    made = net()
    weight = made.graph.initializers["w"]
    large = graph("(float[1] x) => (float[1] y) { y = Relu (x) }", w=(8, 5, 3, 3))
    weight.const_value = large.graph.initializers["w"].const_value
    weight.shape = weight.const_value.shape
    return made


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_run_is_an_error_with_its_reason(backend: str, name: str, tmp_path: Path):
    model = admitted(BROKEN[name](), tmp_path)
    setting = Setting.of(backend)
    with pytest.raises(CoreError) as raised, loaded(model, setting) as (worker, _):
        Verifier(Source(), never).check(worker, "model", model, setting)
    assert len(raised.value.message) > 20


@pytest.mark.parametrize("content", [b"not a model", b"\x08\x08\x12\x00"])
def test_what_is_no_model_is_an_error_with_its_reason(backend: str, content: bytes, tmp_path: Path):
    model = admitted(net(), tmp_path)
    model.path.write_bytes(content)
    with pytest.raises(CoreError) as raised, loaded(model, Setting.of(backend)) as (worker, _):
        worker.run("model", tmp_path / "out.npz")
    assert len(raised.value.message) > 20


def test_int8_is_right_or_refused(backend: str, tmp_path: Path):
    made, _ = rewrite(net(), QuantizeStatic(), data=Images(net()))
    model, setting = admitted(made, tmp_path), Setting.of(backend)
    assert model.quantized
    problem = ""
    try:
        with loaded(model, setting) as (worker, _):
            Verifier(Source(), never).check(worker, "model", model, setting)
    except CoreError as error:
        problem = error.message
    if backend in ("onnxruntime", "openvino"):
        assert not problem
    elif problem:
        assert catalogue()[backend].label.split()[0] in problem
