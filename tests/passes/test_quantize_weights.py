"""Weights in few bits: the file shrinks, float kernels run, packing is exact."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from core.calibration.services import NoServices
from core.compress.quantization.packing import packed, stored_bytes
from core.errors import PassPrecondition
from core.passes.base import Report
from core.passes.quantize_weights import QuantizeWeights
from core.wording import sentence, sentences
from tests.builders import graph, refused
from tests.compress.quantization.nets import (
    Random,
    kernels,
    parsed,
    random,
    run,
    signal_to_noise_db,
)

DB = {"8": 35.0, "4": 20.0, "3": 12.0}


def chain(width=64):
    """Four convolutions, wide enough for weights to be most of the file."""

    def weight(o, i, seed):
        return random(o, i, 3, 3, scale=(i * 9) ** -0.5 * 1.4, seed=seed)

    return parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 10] y) {
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
          b = Relu(a)
          c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(b, w2, b2)
          d = Relu(c)
          e = Conv<kernel_shape=[3,3], strides=[2,2]>(d, w3)
          f = Relu(e)
          p = GlobalAveragePool(f)
          q = Flatten(p)
          y = Gemm<transB=1>(q, w4, b4)
        }""",
        {
            "w1": weight(width, 3, 1), "w2": weight(width, width, 2), "b2": random(width),
            "w3": weight(width, width, 3), "w4": random(10, width), "b4": random(10),
        },
    )  # fmt: skip


def quantize(model, statistics=None, **options):
    report, chosen = Report(), QuantizeWeights(**options)
    chosen.requires(model)
    chosen.apply(model, report, statistics if statistics is not None else Random(count=64))
    return report


@pytest.mark.parametrize("store", ["packed", "dequantize"])
@pytest.mark.parametrize(("bits", "share"), [("8", 0.27), ("4", 0.2), ("3", 0.15)])
def test_the_file_shrinks_and_the_outputs_stay_close(bits, share, store):
    if bits == "3" and store == "dequantize":
        pytest.skip("ONNX has no 3-bit type; the refusal has its own test")
    model, x = chain(), next(Random(seed=5).feeds())["x"]
    truth, size = run(model, x)["y"], len(graphs.serialize(model))
    quantize(model, bits=bits, store=store)
    graphs.check(model)
    assert len(graphs.serialize(model)) < share * size
    assert signal_to_noise_db(truth, run(model, x)["y"]) > DB[bits]


def test_packed_weights_are_unpacked_while_the_model_loads():
    model = chain()
    quantize(model, bits="4")
    left = set(kernels(model))
    assert not {"BitwiseAnd", "Cast", "Mul", "DequantizeLinear"} & left


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
@pytest.mark.parametrize("count", [1, 8, 10, 79])
def test_packing_keeps_every_code(bits, count):
    limit = 1 << (bits - 1)
    codes = np.random.default_rng(count).integers(-limit, limit, count)
    words, per_word = packed(codes, bits), {3: 10, 4: 2, 5: 6, 6: 5}[bits]
    assert words.dtype == (np.uint8 if bits == 4 else np.uint32)
    assert words.nbytes <= stored_bytes(count, bits, "packed")
    assert words.max() < 1 << 31 or bits == 4
    assert len(words) == -(-count // per_word)
    back = [(int(w) >> (i * bits)) & (2 * limit - 1) for w in words for i in range(per_word)]
    np.testing.assert_array_equal(np.array(back[:count]) - limit, codes)


def test_gptq_beats_rounding_to_nearest():
    x = next(Random(seed=5, batch=32).feeds())["x"]
    found = []
    for rounding in ("nearest", "gptq"):
        model = chain()
        truth = run(model, x)["y"]
        quantize(
            model, Random(count=128), bits="3", size=0.1, rounding=rounding, correct_bias=False
        )
        found.append(signal_to_noise_db(truth, run(model, x)["y"]))
    assert found[1] > found[0] + 2


def test_first_and_last_layer_keep_8_bits_unless_told():
    def kinds(model):
        names = ("_words", "_codes")
        return [v.const_value.dtype.name for n, v in model.graph.initializers.items()
                if n.endswith(names)]  # fmt: skip

    model = chain()
    quantize(model, NoServices(), bits="4")
    assert sorted(kinds(model)) == ["INT8", "INT8", "UINT8", "UINT8"]
    model = chain()
    quantize(model, NoServices(), bits="4", edges=False)
    assert kinds(model) == ["UINT8"] * 4


@pytest.mark.parametrize("store", ["packed", "dequantize"])
def test_more_room_is_filled_and_loses_less(store):
    x, lost, sizes = next(Random(seed=5, batch=32).feeds())["x"], [], []
    for size in (0.15, 0.2, 0.3):
        model = chain()
        truth, whole = run(model, x)["y"], len(graphs.serialize(model))
        quantize(model, size=size, store=store)
        sizes.append(len(graphs.serialize(model)) / whole)
        assert sizes[-1] <= size
        lost.append(-signal_to_noise_db(truth, run(model, x)["y"]))
    assert sizes == sorted(sizes)
    assert lost == sorted(lost, reverse=True)
    assert lost[0] > lost[2] + 15


def test_what_each_layer_alone_loses_is_reported():
    report = quantize(chain())
    assert {effect.setting for effect in report.effects} == {"int4"}
    named = [effect.layers for effect in report.effects]
    assert named == [("Conv_1",), ("Conv_2",), ("Conv_3",), ("Gemm_1",)]
    assert any("alone in 4 bits" in note for note in sentences(report.notes))


def test_a_size_that_cannot_be_kept_is_said():
    report = quantize(chain(), size=0.1)
    assert any("none gets more" in note for note in sentences(report.notes))
    assert any("4 in 4 bits; 4.0 bits a weight" in note for note in sentences(report.notes))


def test_without_images_it_rounds_to_nearest_and_says_so():
    report = quantize(chain(), NoServices(), bits="8")
    assert any("Without calibration images" in note for note in sentences(report.notes))


def test_small_and_excluded_layers_stay_float():
    model = chain(width=4)
    report = quantize(model, NoServices(), exclude=("Conv_2",))
    said = {skip.node: sentence(skip.reason) for skip in report.skipped}
    assert said["Conv_2"] == "left alone as asked"
    assert "not worth it" in said["Gemm_1"]


def test_refusals():
    model = chain()
    with pytest.raises(PassPrecondition, match="no 3-bit type"):
        quantize(chain(), bits="3", store="dequantize")
    quantize(model, NoServices(), store="dequantize")
    with pytest.raises(PassPrecondition, match="already quantized"):
        quantize(model, NoServices())


def test_a_batch_norm_that_no_convolution_takes_over_stays_one():
    model = parsed(
        """g (float[N, 16, 6, 6] x) => (float[N, 16, 6, 6] y) {
          a = BatchNormalization(x, s, b, m, v)
          c = Relu(a)
          d = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(c, w)
          y = BatchNormalization(d, s, b, m, v)
        }""",
        {
            "w": random(16, 16, 3, 3), "s": random(16), "b": random(16), "m": random(16),
            "v": np.abs(random(16)) + 0.5,
        },
    )  # fmt: skip
    x = random(4, 16, 6, 6, seed=3)
    truth = run(model, x)["y"]
    quantize(model, NoServices(), bits="8")
    assert [n.op_type for n in model.graph].count("BatchNormalization") == 1
    assert [n.op_type for n in model.graph].count("Conv") == 1
    assert signal_to_noise_db(truth, run(model, x)["y"]) > DB["8"]


def decoder():
    """Down and up again, by transposed convolutions with a bias and without."""
    return parsed(
        """g (float[N, 3, 12, 12] x) => (float[N, 5, 12, 12] y) {
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x, w1)
          b = Relu(a)
          c = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(b, w2)
          d = Relu(c)
          e = ConvTranspose<kernel_shape=[2,2], strides=[2,2]>(d, w3, b3)
          f = Relu(e)
          g0 = ConvTranspose<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1],
                             output_padding=[1,1]>(f, w4)
          h = Relu(g0)
          y = Conv<kernel_shape=[1,1]>(h, w5)
        }""",
        {
            "w1": random(32, 3, 3, 3, scale=0.3, seed=1), "w2": random(64, 32, 3, 3, seed=2),
            "w3": random(64, 48, 2, 2, seed=3), "b3": random(48), "w4": random(48, 32, 3, 3),
            "w5": random(5, 32, 1, 1),
        },
    )  # fmt: skip


@pytest.mark.parametrize("store", ["packed", "dequantize"])
@pytest.mark.parametrize("bits", ["8", "4"])
def test_a_transposed_convolution_holds_few_bits_too(bits, store):
    model, x = decoder(), next(Random(seed=5).feeds())["x"]
    truth, size = run(model, x)["y"], len(graphs.serialize(model))
    report = quantize(model, bits=bits, store=store)
    graphs.check(model)
    assert report.changed == 4  # all but the last, which holds 160 weights
    assert len(graphs.serialize(model)) < {"8": 0.32, "4": 0.25}[bits] * size
    assert signal_to_noise_db(truth, run(model, x)["y"]) > {"8": 35.0, "4": 15.0}[bits]


def test_rounding_a_transposed_convolution_by_its_outputs_beats_rounding_to_nearest():
    x = next(Random(seed=5).feeds())["x"]
    truth, found = run(decoder(), x)["y"], {}
    for how in ("nearest", "gptq"):
        model = decoder()
        quantize(model, bits="4", size=0.01, rounding=how, exclude=("node_0", "node_2", "node_8"))
        found[how] = signal_to_noise_db(truth, run(model, x)["y"])
    assert found["gptq"] > found["nearest"] + 1


@pytest.mark.parametrize(
    "how", ["group=2", 'auto_pad="SAME_UPPER"', "output_shape=[12,12]", "pads=[2,2,2,2]"]
)
def test_a_transposed_convolution_that_is_not_known_stays_float_and_is_told(how):
    model = parsed(
        f"""g (float[N, 16, 6, 6] x) => (float[N, C, H, W] y) {{
          a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
          y = ConvTranspose<kernel_shape=[2,2], strides=[2,2], {how}>(a, w2)
        }}""",
        {"w1": random(32, 16, 3, 3), "w2": random(32, 8, 2, 2)},
    )
    report = quantize(model, NoServices())
    assert report.changed == 1
    assert any("transposed" in sentence(skip.reason) for skip in report.skipped)


def test_a_sequence_as_output_is_refused_with_its_name():
    before = graph(
        "(float[N,64] x) => (seq(float[N,64]) s) "
        "{ a = MatMul (x, w) s = SequenceConstruct (a, x) }",
        w=(64, 64),
    )
    assert "'s' is a sequence of tensors" in refused(before, QuantizeWeights())
