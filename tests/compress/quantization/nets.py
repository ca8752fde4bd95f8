"""Small nets with calibration data that runs on ONNX Runtime, and tools to look at results."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from core import graph as graphs
from core.calibration import Probe
from tests.calibration.fake_services import FakeServices


class Random(FakeServices):
    """`Services` over random images; counts how many batches were alive at once."""

    def __init__(self, shape=(3, 12, 12), count=32, batch=4, seed=0, spoil=None):
        super().__init__()
        self.shape, self.count, self.batch, self.seed = shape, count, batch, seed
        self.spoil = spoil
        self.handed_out = 0

    def feeds(self):
        random = np.random.default_rng(self.seed)
        for start in range(0, self.count, self.batch):
            x = random.standard_normal((self.batch, *self.shape)).astype(np.float32)
            if self.spoil is not None and start <= self.spoil < start + self.batch:
                x[self.spoil - start, 0, 0, 0] = np.nan
            self.handed_out += 1
            yield {"x": x}


def run(graph, x):
    return Probe(graph, [v.name for v in graph.graph.outputs], threads=1).run({"x": x})


def kernels(graph) -> Counter:
    """Operators that ONNX Runtime really runs, after its own optimisation."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        ort.InferenceSession(graphs.serialize(graph), options, providers=["CPUExecutionProvider"])
        return Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)


def signal_to_noise_db(truth, other) -> float:
    noise = float(((truth - other) ** 2).sum())
    return float("inf") if not noise else 10 * np.log10(float((truth**2).sum()) / noise)


def random(*shape, scale=0.3, seed=1):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def parsed(text: str, weights: dict, opset: int = 17) -> ir.Model:
    """A model from onnx.parser text, its initializers given as arrays."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return graphs.parse(model.SerializeToString(), "test")


def residual(seed=0, opset=17) -> ir.Model:
    """Conv, Relu, a depthwise Conv with Clip, a shortcut, pools, Gemm, Softmax."""
    text = """
    g (float[N, 3, 12, 12] x) => (float[N, 5] y) {
      a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
      r = Relu(a)
      d = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=8>(r, w2, b2)
      c = Clip(d, zero, six)
      e = Conv<kernel_shape=[1,1]>(c, w3)
      s = Add(e, r)
      t = Relu(s)
      m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(t)
      p = GlobalAveragePool(m)
      f = Flatten(p)
      z = Gemm<transB=1>(f, w4, b4)
      y = Softmax(z)
    }"""
    weights = {
        "w1": random(8, 3, 3, 3, seed=seed + 1),
        "b1": random(8, seed=seed + 2),
        "w2": random(8, 1, 3, 3, scale=0.5, seed=seed + 3),
        "b2": random(8, seed=seed + 4),
        "w3": random(8, 8, 1, 1, seed=seed + 5),
        "w4": random(5, 8, scale=1.0, seed=seed + 6),
        "b4": random(5, seed=seed + 7),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
    }
    return parsed(text, weights, opset)


def dense(seed=0) -> ir.Model:
    """Two Concats, one behind the other, whose channels differ in size and end in batch norms."""
    text = """
    g (float[N, 3, 12, 12] x) => (float[N, 5] y) {
      a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
      r = Relu(a)
      n1 = BatchNormalization(r, g1, z8, z8, o1)
      q1 = Relu(n1)
      b = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(q1, w2)
      c = Concat<axis=1>(r, b)
      n2 = BatchNormalization(c, g2, z16, z16, o2)
      q2 = Relu(n2)
      d = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(q2, w3)
      e = Concat<axis=1>(c, d)
      n3 = BatchNormalization(e, g3, z24, z24, o3)
      q3 = Relu(n3)
      p = GlobalAveragePool(q3)
      f = Flatten(p)
      y = Gemm<transB=1>(f, w4, b4)
    }"""
    sizes = np.logspace(-2, 1, 24)[np.random.default_rng(seed).permutation(24)]
    weights = {
        "w1": random(8, 3, 3, 3, seed=seed + 1) * sizes[:8, None, None, None],
        "w2": random(8, 8, 3, 3, seed=seed + 2) * sizes[8:16, None, None, None],
        "w3": random(8, 16, 3, 3, seed=seed + 3) * sizes[16:, None, None, None],
        "w4": random(5, 24, scale=1.0, seed=seed + 4),
        "b4": random(5, seed=seed + 5),
    }
    for index, count in enumerate((8, 16, 24), 1):
        weights |= {f"g{index}": np.ones(count), f"z{count}": np.zeros(count)}
        weights |= {f"o{index}": sizes[:count] ** 2}
    return parsed(text, {name: array.astype(np.float32) for name, array in weights.items()})


def logits():
    """The net without its Softmax, which would hide errors."""
    model = residual()
    node = model.graph.outputs[0].producer()
    source = node.inputs[0]
    source.type, source.shape = model.graph.outputs[0].type, model.graph.outputs[0].shape
    model.graph.outputs.clear()
    model.graph.remove(node, safe=True)
    model.graph.outputs.append(source)
    return model


def output_error(matrix, codes, scales, second):
    """Expected squared error of a layer's output under rounded weights, summed over the outputs."""
    difference = matrix - codes * scales[:, :, None]
    return float(np.einsum("goi,gij,goj->", difference, second, difference, optimize=True))
