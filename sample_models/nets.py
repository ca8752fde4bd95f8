"""Four nets for one task, so that a newcomer sees what each idea costs and gives.

`plain` and `plain_bn` differ in batch norm alone; `resnet` adds shortcuts; `mobile` replaces every
convolution but the first by a depthwise and a pointwise one (Howard et al. 2017, arXiv:1704.04861).
All take (N, 3, 64, 64) and end in global average pooling and one fully connected layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# (output channels, stride) of each 3x3 layer after the stem, or of each block
PLAIN = ((32, 2), (32, 1), (64, 2), (64, 1), (64, 1), (96, 2), (96, 1))
BLOCKS = ((32, 2), (64, 2), (64, 1), (96, 2))
MOBILE = ((64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (192, 2), (192, 1))
STEM = 32


def conv(
    inputs: int, outputs: int, stride: int = 1, norm: bool = True, groups: int = 1
) -> nn.Module:
    """3x3 convolution, batch norm if wanted, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=not norm)
    ]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def pointwise(inputs: int, outputs: int) -> nn.Module:
    """1x1 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Project the shortcut by a strided 1x1 convolution where the shape changes."""
        super().__init__()
        self.first = conv(inputs, outputs, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the convolved and the shortcut input, then ReLU."""
        summed: Tensor = self.relu(self.second(self.first(x)) + self.shortcut(x))
        return summed


def build(name: str, classes: int) -> nn.Sequential:
    """The net called `name`: "plain", "plain_bn", "resnet" or "mobile".

    Raises:
        KeyError: no net has that name.
    """
    layers = {"plain": _plain, "plain_bn": _plain_bn, "resnet": _resnet, "mobile": _mobile}[name]()
    width = (MOBILE if name == "mobile" else PLAIN)[-1][0]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    net = nn.Sequential(*layers, *head)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):  # fan-in keeps the variance: without it, plain nets stall
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return net.to(memory_format=torch.channels_last)


def _plain(norm: bool = False) -> list[nn.Module]:
    layers = [conv(3, STEM, 2, norm)]
    width = STEM
    for outputs, stride in PLAIN:
        layers.append(conv(width, outputs, stride, norm))
        width = outputs
    return layers


def _plain_bn() -> list[nn.Module]:
    return _plain(norm=True)


def _resnet() -> list[nn.Module]:
    layers: list[nn.Module] = [conv(3, STEM, 2)]
    width = STEM
    for outputs, stride in BLOCKS:
        layers.append(Block(width, outputs, stride))
        width = outputs
    return layers


def _mobile() -> list[nn.Module]:
    layers = [conv(3, STEM, 2)]
    width = STEM
    for outputs, stride in MOBILE:
        layers += [conv(width, width, stride, groups=width), pointwise(width, outputs)]
        width = outputs
    return layers
