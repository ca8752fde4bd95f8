"""Micro-models: what they hold, and that runtimes take them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from core.analysis.layer_signatures import depthwise_pointwise, spatial_svd, tucker2
from core.data import synthetic_feeds
from core.errors import UnsupportedModel
from core.measure import staircase
from core.pipeline import micro_models
from core.pipeline.client import Workshop
from core.timings import Chain, LayerSignature

CONV = LayerSignature(
    "Conv", 16, 32, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), size=(8, 8), fused=("Add", "Relu")
)
CHAINS: dict[str, Chain] = {
    "conv": (CONV,),
    "batch": (replace(CONV, batch=2),),
    "first": (CONV.resized(3, 8),),
    "one axis": (LayerSignature("Conv", 8, 8, (3,), (1,), (1,), (1, 1), size=(20,)),),
    "upwards": (
        LayerSignature("ConvTranspose", 8, 4, (2, 2), (2, 2), (1, 1), (0,) * 4, size=(4, 4)),
    ),
    "fully connected": (LayerSignature("Gemm", 16, 10, fused=("Clip",)),),
    "tokens": (LayerSignature("MatMul", 16, 24, size=(5,), fused=("Add",)),),
    "spatial svd": spatial_svd(CONV, 8),
    "tucker": tucker2(CONV, 8, 16),
    "depthwise": depthwise_pointwise(CONV, 3),
    "tap": staircase.TAP,
    "int8": (LayerSignature(
        "Conv", 16, 16, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), size=(8, 8), precision="int8",
        fused=("Relu",),
    ),),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_both_files_run_and_hold_their_copies(name: str, tmp_path: Path):
    import onnxruntime

    chain = CHAINS[name]
    model = micro_models.write(chain, tmp_path)
    for path, copies in ((model.one, 1), (model.many, model.copies)):
        proto = onnx.load(path)
        onnx.checker.check_model(proto, full_check=True)
        made = [n for n in proto.graph.node if n.op_type == chain[-1].op_type != "Concat"]
        kernel = list(chain[-1].kernel)
        layers = [
            n for n in made
            if not kernel or [*onnx.helper.get_node_attr_value(n, "kernel_shape")] == kernel
        ]  # fmt: skip
        assert chain == staircase.TAP or len(layers) >= copies
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (y,) = session.run(None, next(synthetic_feeds(model.inputs, 1)))
        assert np.isfinite(y).all()
        assert y.any()


def test_copies_have_weights_of_their_own(tmp_path: Path):
    proto = onnx.load(micro_models.write((CONV,), tmp_path).many)
    arrays = [onnx.numpy_helper.to_array(t) for t in proto.graph.initializer]
    kernels = [a.tobytes() for a in arrays if a.shape == (32, 16, 3, 3)]
    assert len(set(kernels)) == len(kernels) > 2


def test_heavy_layers_get_few_copies(tmp_path: Path):
    heavy = CONV.resized(512, 512)
    assert micro_models.write((heavy,), tmp_path).copies == micro_models.FEWEST
    assert micro_models.write((CONV.resized(3, 4),), tmp_path).copies == micro_models.MOST


def test_an_unknown_layer_is_refused(tmp_path: Path):
    with pytest.raises(UnsupportedModel, match="LSTM"):
        micro_models.write((LayerSignature("LSTM", 4, 4),), tmp_path)


def test_through_the_workshop(tmp_path: Path):
    with Workshop() as shop:
        (model,) = shop.micro_models([(CONV,)], tmp_path)
    assert model == micro_models.write((CONV,), tmp_path)
    assert model.many.is_file()
