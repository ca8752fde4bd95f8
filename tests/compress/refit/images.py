"""Calibration data for tests: smooth random pictures, run on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from core.calibration import Probe
from core.calibration.services import Services
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Gram
from tests.calibration.fake_services import FakeServices


class Pictures(FakeServices):
    """Statistics over made-up images; counts how often a graph was loaded to be run."""

    def __init__(self, model: ir.Model, count: int = 64, batch: int = 8, size: int = 8) -> None:
        super().__init__()
        self.count, self.batch, self.loaded = count, batch, 0
        value = model.graph.inputs[0]
        self.name = value.name
        dims = [d if isinstance(d, int) else size for d in list(value.shape)[1:]]
        random = np.random.default_rng(11)
        rough = random.normal(size=(count, *dims))
        self._images = np.float32(rough + np.roll(rough, 1, -1) + np.roll(rough, 1, -2))

    def feeds(self) -> Iterator[dict[str, np.ndarray]]:
        for i in range(0, self.count, self.batch):
            yield {self.name: self._images[i : i + self.batch]}

    def runner(self, graph: ir.Model, names: Sequence[str]) -> Callable[..., Any]:
        self.loaded += 1
        return Probe(graph, names).run


def outputs(model: ir.Model, images: Pictures) -> np.ndarray:
    name = model.graph.outputs[0].name
    run = Probe(model, [name]).run
    return np.concatenate([run(feeds)[name] for feeds in images.feeds()])


def error(original: ir.Model, changed: ir.Model, images: Pictures) -> float:
    a, b = outputs(original, images), outputs(changed, images)
    return float(((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum())


def input_grams(
    model: ir.Model, layers: Sequence[Layer], services: Services, per_image: int = 48
) -> Mapping[str, Gram]:
    """Sums of the inputs of these layers of `model`, by name of the layer's output, in one pass."""
    grams = {layer.output: Gram(layer.groups) for layer in layers}
    names = list(dict.fromkeys(layer.input for layer in layers))
    for turn, values in enumerate(services.activations(model, names)):
        for layer in layers:
            x = values[layer.input]
            grams[layer.output].add(layer.rows(x, layer.sites(x.shape, per_image, turn)))
    return grams
