"""What each backend tells of its layers: sums that fit the clock, integer layers recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.backends.base import catalogue, offered
from core.backends.base.profile import Profiled
from core.errors import BackendUnavailable, CoreError
from core.measure import Setting, explained, host
from core.measure.profile import ProfileJob, profile
from core.passes.fold_batch_norm import FoldBatchNorm
from core.passes.quantize_static import QuantizeStatic
from core.records import LayerProfile, ModelSummary, Profile
from core.worker.protocol import ProfilingPlan as Plan
from tests.builders import Images, graph, norm, rewrite
from tests.measure.subjects import admitted

pytestmark = pytest.mark.backend
BACKENDS = [name for name in offered() if isinstance(catalogue()[name], Profiled)]
SHORT = Plan(warmup=2, budget_s=0.3, fewest=3, most=5)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    try:
        catalogue()[request.param].version()
    except BackendUnavailable as error:
        pytest.skip(f"{request.param}: {error.message} {error.remedy}")
    return request.param


def net():
    """Two blocks of convolution, batch norm and ReLU, large enough for a clock of microseconds."""
    return graph(
        """(float[1,3,48,48] image) => (float[1,6] scores) {
            [first] a = Conv <pads=[1,1,1,1]> (image, w)
            [norm] n = BatchNormalization (a, s, t, m, v)
            [relu] r = Relu (n) [second] b = Conv <pads=[1,1,1,1]> (r, w2) [relu2] q = Relu (b)
            [pool] p = GlobalAveragePool (q) [flat] f = Flatten (p)
            [head] scores = Gemm <transB=1> (f, u, k)
        }""",
        w=(32, 3, 3, 3), w2=(32, 32, 3, 3), u=(6, 32), k=(6,), **norm(32),
    )  # fmt: skip


def quantized(fold: bool):
    made = net()
    if fold:
        made, _ = rewrite(made, FoldBatchNorm())
    images = Images(made, 2)
    made, _ = rewrite(made, QuantizeStatic(), data=images)
    return made


def both(backend: str, folder: Path, after: ModelSummary) -> tuple[Profile, Profile]:
    return profile(ProfileJob(admitted(net(), folder), after, Setting.of(backend), plan=SHORT))


def named(told: Profile, name: str) -> LayerProfile:
    return next(x for x in told.layers if x.name == name and x.role == "compute")


def test_the_sum_fits_the_clock_and_the_layers_have_the_files_names(backend: str, tmp_path: Path):
    before, _ = both(backend, tmp_path, admitted(net(), tmp_path))
    assert before.layers
    assert 0 < before.layers_s < 20 * before.total_s
    assert sum(x.share for x in before.layers) == pytest.approx(1)
    assert named(before, "second").seconds > named(before, "head").seconds * 0.1
    assert named(before, "second").kind == "conv 3x3"
    assert named(before, "second").macs == 48 * 48 * 32 * 32 * 9
    assert not any(x.precision == "int8" for x in before.layers)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_integer_layers_are_recognised(name: str, tmp_path: Path):
    after = admitted(quantized(fold=True), tmp_path, "q")
    before, told = both(name, tmp_path, after)
    for layer in ("first", "second"):
        assert named(before, layer).precision == "f32"
        assert named(told, layer).precision == "int8"
    assert any(x.role == "quantize" for x in told.layers)
    answer = explained(before, told, host())
    joined = {p.after.name for p in answer.pairs if p.before and p.after}
    assert {"first", "second"} <= joined


def test_a_batch_norm_between_integer_layers_is_an_island(tmp_path: Path):
    after = admitted(quantized(fold=False), tmp_path, "q")
    before, told = both("onnxruntime", tmp_path, after)
    causes = {cause.title: cause for cause in explained(before, told, host()).causes}
    assert "fold_batch_norm" in causes["Float islands"].fix
    assert named(told, "norm").precision == "f32"


def test_a_backend_that_refuses_the_file_says_why(tmp_path: Path):
    after = admitted(quantized(fold=True), tmp_path, "q")
    with pytest.raises(CoreError, match="OpenCV"):
        both("opencv", tmp_path, after)
