"""The nets by name: how each is built, on which size of image, with which preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from benchmarks.nets import (
    convnext,
    densenet,
    efficientnet,
    mobilenet,
    pictures,
    resnet,
    shufflenet,
    unet,
    vit,
    yolo,
)
from benchmarks.nets.tracing import Array, Tensor, Tracer
from core.records import Preprocess

IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CIFAR = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))
UNIT = Preprocess()


@dataclass(frozen=True)
class Net:
    """One net of the catalogue.

    Attributes:
        write: writes the graph into a tracer and returns its outputs by name.
        size: height and width of its input, in pixels.
        preprocess: how pixels become its input, without the resizing.
        input: name of the input.
        probes: images that the statistics come from.
    """

    write: Callable[[Tracer], dict[str, Tensor]]
    size: int = 224
    preprocess: Preprocess = IMAGENET
    input: str = "input"
    probes: int = 16


NETS: Mapping[str, Net] = {
    "resnet50": Net(partial(resnet.imagenet, depths=(3, 4, 6, 3), block=resnet.bottleneck)),
    "resnet18": Net(partial(resnet.imagenet, depths=(2, 2, 2, 2), block=resnet.basic)),
    "vit_b16": Net(partial(vit.transformer, width=768, depth=12, heads=12), probes=8),
    "mobilenetv3_large": Net(mobilenet.v3_large),
    "efficientnet_b0": Net(efficientnet.b0),
    "yolov8s": Net(yolo.v8, 640, UNIT, "images", probes=2),
    "mobilenetv1": Net(mobilenet.v1),
    "mobilenetv1_0.25": Net(partial(mobilenet.v1, multiplier=0.25)),
    "shufflenet_v1_g3": Net(shufflenet.v1),
    "shufflenet_v2": Net(shufflenet.v2),
    "resnet56": Net(partial(resnet.cifar, depth=56, block=resnet.basic), 32, CIFAR, probes=64),
    "resnet110_depthwise": Net(
        partial(resnet.cifar, depth=110, block=resnet.depthwise), 32, CIFAR, probes=64
    ),
    "unet": Net(unet.segmenter, 224, UNIT, probes=4),
    "densenet121": Net(partial(densenet.densenet, depths=(6, 12, 24, 16))),
    "convnext_tiny": Net(
        partial(convnext.convnext, depths=(3, 3, 9, 3), widths=(96, 192, 384, 768))
    ),
}
# Built only when they are asked for by name.
BIG: Mapping[str, Net] = {
    "resnet_1gb": Net(
        partial(resnet.imagenet, depths=(3, 4, 6, 3), block=resnet.bottleneck, width=208), probes=2
    ),
    "vit_1gb": Net(partial(vit.transformer, width=1024, depth=20, heads=16), probes=2),
    "vit_h14": Net(partial(vit.transformer, width=1280, depth=32, heads=16, patch=14), probes=2),
}


def find(name: str) -> Net:
    """The net of that name, big or not."""
    return NETS[name] if name in NETS else BIG[name]


def build(name: str, photographs: Array | None = None, keep_batch_norms: bool = False) -> ir.Model:
    """The net `name`, with the statistics of `photographs` (uint8, NHWC) or of noise."""
    net = find(name)
    images = pictures.noise(net.probes, net.size) if photographs is None else photographs
    images = pictures.prepared(images[: net.probes], net.preprocess)
    tracer = Tracer(images, _seed(name), keep_batch_norms, net.input)
    outputs = net.write(tracer)
    resized = Preprocess(
        scale=net.preprocess.scale,
        mean=net.preprocess.mean,
        std=net.preprocess.std,
        resize=(net.size, net.size),
    )
    return tracer.finish(outputs, name, resized)


def _seed(name: str) -> int:
    return int.from_bytes(name.encode(), "little") % 2**32
