"""Each operator, and whole nets, by PyTorch and by ONNX Runtime: the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import graph as graphs
from core.calibration.services import Tensors
from core.data import synthetic_feeds
from core.errors import UnsupportedModel
from core.graph import Graph
from core.passes.base import lift_constants
from tests.builders import feeds, graph, norm, run, weights_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed: requirements/torch.txt")

from core.compress.distill.network import Network, trained  # noqa: E402 - nothing to test without PyTorch

SAMPLES = sorted((Path(__file__).parents[3] / "sample_models").glob("*.onnx"))
IMAGE = "(float[N,4,9,10] x) => (float[A,B,C,D] y) "
MATRIX = "(float[N,12] x) => (float[A,B] y) "


def values(net: Graph, given: Tensors) -> list[np.ndarray]:
    names = [value.name or "" for value in net.graph.outputs]
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    with torch.no_grad():
        found = Network(net)(tensors, names)
    return [found[name].numpy() for name in names]


def agree(net: Graph, given: Tensors | None = None) -> None:
    given = feeds(net) if given is None else given
    wanted = run(net, given)
    lift_constants(net)
    for one, other in zip(wanted, values(net, given), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=2e-5)


def case(text: str, opset: int = 17, head: str = IMAGE, **weights: Any) -> Any:
    return pytest.param(head + "{ " + text + " }", opset, weights, id=f"{text[:60]} {opset}")


CASES = [
    case("y = Conv <pads=[1,1,1,1]> (x, w, b)", w=(6, 4, 3, 3), b=(6,)),
    case("y = Conv <pads=[0,1,2,1], strides=[2,1]> (x, w)", w=(6, 4, 3, 3)),
    case("y = Conv <group=2, dilations=[2,1]> (x, w)", w=(6, 2, 3, 3)),
    case('y = Conv <auto_pad="SAME_UPPER", strides=[2,2]> (x, w)', w=(6, 4, 3, 3)),
    case('y = Conv <auto_pad="SAME_LOWER", strides=[2,2]> (x, w)', w=(6, 4, 2, 2)),
    case('y = Conv <auto_pad="VALID"> (x, w)', w=(6, 4, 3, 3)),
    case("y = ConvTranspose <strides=[2,2]> (x, w, b)", w=(4, 3, 3, 3), b=(3,)),
    case("y = ConvTranspose <strides=[2,2], pads=[1,0,1,1], output_padding=[1,1]> (x, w)",
         w=(4, 3, 3, 3)),
    case("y = ConvTranspose <group=2, dilations=[2,1]> (x, w)", w=(4, 3, 2, 3)),
    case('y = ConvTranspose <strides=[2,2], auto_pad="SAME_UPPER"> (x, w)', w=(4, 3, 3, 3)),
    case("y = ConvTranspose <strides=[2,2], output_shape=[18,20]> (x, w)", w=(4, 3, 3, 3)),
    case("y = BatchNormalization (x, s, t, m, v)", **norm(4)),
    case("y = BatchNormalization <epsilon=0.1> (x, s, t, m, v)", 9, **norm(4)),
    case("y = InstanceNormalization (x, s, t)", s=(4,), t=(4,)),
    case("y = LayerNormalization <axis=-1> (x, s, t)", s=(10,), t=(10,)),
    case("y = LayerNormalization <axis=1> (x, s)", s=(4, 9, 10)),
    case("y = GroupNormalization <num_groups=2> (x, s, t)", 21, s=(4,), t=(4,)),
    case("y = GroupNormalization <num_groups=2> (x, s, t)", 18, s=(2,), t=(2,)),
    case("y = RMSNormalization <axis=-1> (x, s)", 23, s=(10,)),
    case("y = LRN <size=3, alpha=0.3> (x)"),
    case("y = LRN <size=5, bias=2.0, beta=0.5> (x)"),
    case("y = MaxPool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (x)"),
    case("y = MaxPool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x)"),
    case("y = MaxPool <kernel_shape=[2,2], dilations=[2,2]> (x)"),
    case('y = MaxPool <kernel_shape=[2,2], strides=[2,2], auto_pad="SAME_UPPER"> (x)'),
    case("y = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (x)"),
    case("y = AveragePool <kernel_shape=[3,3], pads=[1,0,1,0], count_include_pad=1> (x)"),
    case("y = AveragePool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x)", 19),
    case("y = AveragePool <kernel_shape=[2,2], dilations=[2,2]> (x)", 19),
    case("y = AveragePool <kernel_shape=[2,2], dilations=[2,1], pads=[1,1,1,1]> (x)", 19),
    case("y = GlobalAveragePool (x)"),
    case("y = GlobalMaxPool (x)"),
    case("y = ReduceMean <axes=[2,3]> (x)"),
    case("y = ReduceMean <noop_with_empty_axes=1> (x)", 18),
    case("y = ReduceMax <axes=[1]> (x)"),
    case("y = ReduceL2 <axes=[1]> (x)"),
    case("y = ReduceL1 <axes=[1]> (x)"),
    case("y = ReduceSumSquare <axes=[1]> (x)"),
    case("i = Constant <value = int64[1] {-1}> () y = ReduceSum (x, i)"),
    case("i = Constant <value = int64[1] {1}> () y = ReduceMin (x, i)", 18),
    case("y = Softmax <axis=1> (x)"),
    case("y = Softmax <axis=1> (x)", 11),
    case("y = LogSoftmax (x)"),
    case("y = Relu (x)"),
    case("y = LeakyRelu <alpha=0.3> (x)"),
    case("y = PRelu (x, s)", s=(4, 1, 1)),
    case("y = Elu (x)"),
    case("y = Celu <alpha=2.0> (x)"),
    case("y = Selu (x)"),
    case("y = ThresholdedRelu <alpha=0.4> (x)"),
    case("y = Sigmoid (x)"),
    case("y = HardSigmoid <alpha=0.3> (x)"),
    case("y = HardSwish (x)"),
    case("y = Mish (x)", 18),
    case("y = Gelu (x)", 20),
    case('y = Gelu <approximate="tanh"> (x)', 20),
    case("y = Softplus (x)"),
    case("y = Softsign (x)"),
    case("y = Tanh (x)"),
    case("y = Erf (x)"),
    case("s = Sigmoid (x) y = Mul (x, s)"),
    case("a = Abs (x) b = Sqrt (a) c = Exp (x) y = Div (b, c)"),
    case("y = Clip <min=-0.5, max=0.5> (x)", 9),
    case("l = Constant <value = float {-0.5}> () y = Clip (x, l)"),
    case("y = Clip (x)"),
    case("y = Pow (x, e)", e=np.array(2.0, np.float32)),
    case("y = Max (x, k)", k=(4, 1, 1)),
    case("y = Min (x, k, x)", k=(1, 10)),
    case("y = Mean (x, k)", k=(4, 1, 1)),
    case("y = Sum (x, x, k)", k=(4, 1, 1)),
    case("z = Neg (x) c = Less (x, z) y = Where (c, x, k)", k=(4, 1, 1)),
    case("a = Floor (x) b = Ceil (x) c = Round (x) d = Sign (x) y = Sum (a, b, c, d)"),
    case("c = Cast <to=6> (x) y = Cast <to=1> (c)"),
    case("y = Concat <axis=1> (x, x, k)", k=(2, 4, 9, 10)),
    case("a, b = Split <axis=1> (x) y = Sub (a, b)", 13),
    case("a, b = Split <axis=1, split=[1,3]> (x) y = Concat <axis=1> (b, a)", 11),
    case("a, b, c = Split <axis=3, num_outputs=3> (x) y = Concat <axis=3> (c, a, b)", 18),
    case("y = Slice <starts=[1,0], ends=[9,-1], axes=[2,3]> (x)", 9),
    case("y = Slice (x, f, t, a, s)", f=np.array([-1, 1]), t=np.array([-99, 8]),
         a=np.array([3, 2]), s=np.array([-2, 3])),
    case("y = Pad <pads=[0,0,1,2,0,0,0,1], value=0.5> (x)", 9),
    case("y = Pad (x, p)", p=np.array([0, 0, 1, 2, 0, 0, -1, 1])),
    case('y = Pad <mode="reflect"> (x, p)', p=np.array([0, 0, 1, 2, 0, 0, 3, 1])),
    case('y = Pad <mode="edge"> (x, p)', p=np.array([0, 1, 1, 2, 0, 0, 3, 1])),
    case("y = Pad (x, p, k, a)", 18, p=np.array([1, 2, 0, 1]), k=np.array(0.3, np.float32),
         a=np.array([3, 1])),
    case("y = Transpose <perm=[0,2,3,1]> (x)"),
    case("s = Shape (x) y = Reshape (x, s)"),
    case("y = Reshape (x, s)", s=np.array([0, 2, -1, 5])),
    case("a = Squeeze <axes=[0]> (x) y = Unsqueeze <axes=[0]> (a)", 11,
         "(float[1,4,9,10] x) => (float[A,B,C,D] y) "),
    case("a = Unsqueeze (x, i) y = Squeeze (a, i)", i=np.array([-1, 1])),
    case("a = GlobalAveragePool (x) y = Expand (a, s)", s=np.array([1, 1, 3, 2])),
    case("y = Tile (x, s)", s=np.array([1, 2, 1, 3])),
    case("y = Gather <axis=1> (x, i)", i=np.array([3, -3, 0])),
    case('y = DepthToSpace <blocksize=2> (x)'),
    case('y = DepthToSpace <blocksize=2, mode="CRD"> (x)'),
    case("a = Slice <starts=[0], ends=[8], axes=[2]> (x) y = SpaceToDepth <blocksize=2> (a)", 9),
    case('y = Resize <mode="nearest"> (x, , s)', s=np.array([1, 1, 2, 1.5], np.float32)),
    case('y = Resize <mode="linear"> (x, , s)', s=np.array([1, 1, 2, 0.5], np.float32)),
    case('y = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, , , z)',
         z=np.array([2, 4, 17, 5])),
    case('y = Resize <mode="cubic"> (x, , s)', s=np.array([1, 1, 2, 2], np.float32)),
    case('y = Resize <mode="nearest"> (x, s)', 10, s=np.array([1, 1, 2, 2], np.float32)),
    case('y = Upsample <mode="nearest"> (x, s)', 9, s=np.array([1, 1, 2, 3], np.float32)),
    case("y = Identity (x)"),
    case("y = Gemm <alpha=0.5, beta=2.0, transB=1> (x, w, b)", 17, MATRIX, w=(5, 12), b=(5,)),
    case("y = Gemm (x, w)", 17, MATRIX, w=(12, 5)),
    case("a = MatMul (x, w) y = Add (a, b)", 17, MATRIX, w=(12, 5), b=(5,)),
    case('y = Einsum <equation="ni,io->no"> (x, w)', 17, MATRIX, w=(12, 5)),
    case("w = Identity (v) a = Transpose (w) y = MatMul (x, a)", 17, MATRIX, v=(5, 12)),
    case("a = Flatten (x) y = Dropout (a)", 17, "(float[N,4,3,3] x) => (float[A,B] y) "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "opset", "weights"), CASES)
def test_an_operator_gives_the_numbers_of_onnx_runtime(text: str, opset: int, weights: Any):
    agree(graph(text, opset, **weights))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_whole_net_gives_the_numbers_of_onnx_runtime(path: Path):
    net = graphs.load(path)
    agree(net, next(synthetic_feeds(graphs.input_specs(net), 3)))


def test_shapes_are_computed_as_exporters_write_them():
    agree(
        graph(
            """(float[N,4,9,10] x) => (float[A,B] y) {
                s = Shape (x) i = Constant <value = int64 {0}> () n = Gather (s, i)
                z = Constant <value = int64[1] {0}> () m = Unsqueeze (n, z)
                r = Constant <value = int64[1] {-1}> () t = Concat <axis=0> (m, r)
                y = Reshape (x, t) }"""
        )
    )


@pytest.mark.parametrize("place", ["initializer", "constant", "identity"])
def test_weights_are_found_where_exporters_put_them(place: str):
    net = graph(
        MATRIX + "{ a = Gemm (x, w, b) c = Mul (a, k) y = Add (c, d) }",
        place=place, w=(12, 5), b=(5,), k=(5,), d=(5,),
    )  # fmt: skip
    lift_constants(net)
    assert {name.removesuffix("_stored") for name in trained(net)} == {"w", "b", "d"}


def test_gradients_reach_every_weight():
    net = graphs.load(SAMPLES[0])
    network = Network(net)
    given = next(synthetic_feeds(graphs.input_specs(net), 2))
    out = network({k: torch.from_numpy(v) for k, v in given.items()}, ["logits"])["logits"]
    out.square().sum().backward()
    assert network.weights
    assert all(float(weight.grad.abs().sum()) > 0 for weight in network.weights.values())


def test_the_graph_stays_untouched():
    net = graph(MATRIX + "{ y = Gemm (x, w) }", w=(12, 5))
    network, before = Network(net), weights_of(net)["w"].copy()
    network.weights["w"].data.zero_()
    np.testing.assert_array_equal(weights_of(net)["w"], before)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{ y = CumSum (x, k) }", "CumSum"),
        ("{ y = my.Strange (x) }", "my.Strange"),
    ],
)
def test_an_unknown_operator_is_refused_by_its_name(text: str, name: str):
    net = graph(MATRIX + text, domains='"my" : 1', k=np.array(1))
    with pytest.raises(UnsupportedModel, match=name):
        values(net, feeds(net))
