"""Nets whose answers are known by hand, and images that are drawn for them with their annotations.

The segmentation net tells red, green and blue regions from a grey ground; the detector finds red
and green squares on a grid of 16 pixels, in the layout of YOLOv8.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from core.graph import Graph
from tests.builders import graph
from tests.data import sets

SIDE = 64
COLORS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)


def segmentation(spoiled: float = 0.0, batch: str = "N") -> Graph:
    """Scores of ground, red, green and blue for each pixel; `spoiled` favours the ground."""
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[1:, :, 0, 0] = 2 * np.eye(3) - 1
    bias = np.array([0.5 + spoiled, 0, 0, 0], np.float32)
    return graph(
        f"(float[{batch},3,{SIDE},{SIDE}] x) => (float[{batch},4,{SIDE},{SIDE}] y) "
        "{ h = Conv (x, a) r = Relu (h) y = Conv (r, w, b) }",
        a=np.eye(3, dtype=np.float32)[:, :, None, None], w=weight, b=bias,
    )  # fmt: skip


def detector(shift: float = 0.0) -> Graph:
    """Boxes [N, 4 + 2, 84] of red and green squares; `shift` moves them, in pixels."""
    centres, sizes, trust = [], [], []
    for stride, sure in ((8, 0.1), (16, 1.0), (32, 0.1)):
        axis = (np.arange(SIDE // stride) + 0.5) * stride
        y, x = np.meshgrid(axis, axis, indexing="ij")
        centres.append(np.stack([x.ravel() + shift, y.ravel()]))
        sizes.append(np.full((2, x.size), stride, np.float32))
        trust.append(np.full(x.size, sure, np.float32))
    boxes = np.concatenate([np.concatenate(centres, 1), np.concatenate(sizes, 1)]).astype(
        np.float32
    )
    return graph(
        f"(float[N,3,{SIDE},{SIDE}] x) => (float[N,6,84] y) {{"
        " c = Conv (x, w) r = Relu (c)"
        " p = AveragePool <kernel_shape=[8,8], strides=[8,8]> (r)"
        " q = AveragePool <kernel_shape=[16,16], strides=[16,16]> (r)"
        " o = AveragePool <kernel_shape=[32,32], strides=[32,32]> (r)"
        " p1 = Reshape (p, flat) q1 = Reshape (q, flat) o1 = Reshape (o, flat)"
        " raw = Concat <axis=2> (p1, q1, o1) s = Mul (raw, trust)"
        " one = ReduceMax <axes=[1], keepdims=1> (s) zero = Mul (one, nought) b = Add (zero, boxes)"
        " y = Concat <axis=1> (b, s) }",
        w=np.array([(1, -1, -1), (-1, 1, -1)], np.float32)[:, :, None, None],
        flat=np.array([0, 2, -1]), trust=np.concatenate(trust)[None, None],
        nought=np.zeros(1, np.float32), boxes=boxes[None].astype(np.float32),
    )  # fmt: skip


def regions(count: int, side: int = SIDE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, side, side, 3) with some coloured rectangles each, and their masks."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, side, side), np.uint8)
    for mask in masks:
        for color in random.permutation(3)[: random.integers(1, 4)] + 1:
            top, left = random.integers(0, side // 2, 2)
            mask[top : top + side // 3, left : left + side // 3] = color
    return COLORS[masks], masks


def squares(count: int, scale: int = 1, seed: int = 0) -> tuple[np.ndarray, list[list[tuple]]]:
    """Images with red and green squares, and of each image (class, left, top, side)."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, SIDE * scale, SIDE * scale, 3), np.uint8)
    found: list[list[tuple]] = []
    side = 16 * scale
    for image in images:
        found.append([])
        for cell in random.choice(16, random.integers(1, 5), replace=False):
            kind, top, left = int(random.integers(2)), int(cell) // 4 * side, int(cell) % 4 * side
            image[top : top + side, left : left + side] = COLORS[kind + 1]
            found[-1].append((kind, left, top, side))
    return images, found


def coco(found: list[list[tuple]], side: int, identifiers: tuple[int, int] = (3, 17)) -> dict:
    """The squares as COCO annotations; the identifiers leave gaps, as COCO's own do."""
    boxes = [
        {"image_id": image + 100, "category_id": identifiers[kind], "bbox": [left, top, size, size]}
        for image, squares in enumerate(found)
        for kind, left, top, size in squares
    ]
    return {
        "images": [
            {"id": i + 100, "file_name": f"{i:03d}.png", "height": side, "width": side}
            for i in range(len(found))
        ],
        "annotations": [box | {"id": i + 1, "iscrowd": 0} for i, box in enumerate(boxes)],
        "categories": [{"id": i, "name": str(i)} for i in identifiers],
    }


def masked_zip(path: Path, count: int = 24, side: int = SIDE) -> Path:
    """Images and their masks."""
    images, masks = regions(count, side)
    files = {f"images/{i:03d}.png": sets.png(image) for i, image in enumerate(images)}
    files |= {f"masks/{i:03d}.png": grey(mask) for i, mask in enumerate(masks)}
    return sets.zipped(path, files)


def boxed_zip(path: Path, count: int = 24, scale: int = 1) -> Path:
    """Images and an annotations.json."""
    images, found = squares(count, scale)
    files = {f"{i:03d}.png": sets.png(image) for i, image in enumerate(images)}
    files["annotations.json"] = json.dumps(coco(found, SIDE * scale)).encode()
    return sets.zipped(path, files)


def grey(mask: np.ndarray) -> bytes:
    """A mask as a PNG of one channel."""
    return cv2.imencode(".png", mask)[1].tobytes()
