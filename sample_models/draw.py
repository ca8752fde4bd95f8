"""Draw labelled 64x64 RGB images: one shape of sixteen classes in clutter, bad light and noise.

Every image is drawn at four times its size and reduced, so that edges are smooth. The label names
the largest figure. Small figures and lines lie beneath it, a bar may hide a part of it; a light
gradient, loss of contrast, blur and noise keep good nets below 97 %.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

SIZE = 64
SCALE = 4
CANVAS = SIZE * SCALE
DIFFICULTY = 1.0  # scales noise, blur, occlusion and the loss of contrast


def _regular(corners: int, start: float = -np.pi / 2) -> Points:
    angle = start + np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _star(points: int, inner: float) -> Points:
    shape = _regular(2 * points)
    shape[1::2] *= inner
    return shape


def _curve(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> Points:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _arc(start: float, stop: float, radius: float = 1.0, x: float = 0.0, y: float = 0.0) -> Points:
    angle = np.linspace(start, stop, 32)
    return _curve(np.full(32, radius), angle) + np.array((x, y))


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], 1) / 17


def _crescent() -> Points:
    outer = _arc(np.pi * 0.25, np.pi * 1.75)
    inner = _arc(np.pi * 1.68, np.pi * 0.32, 0.78, 0.36)
    return np.concatenate([outer, inner])


def _ring() -> Points:
    return np.concatenate([_arc(0, 2 * np.pi), _arc(2 * np.pi, 0, 0.55)])


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


SHAPES: dict[str, Points] = {
    "disc": _arc(0, 2 * np.pi, 0.92),
    "ring": _ring(),
    "triangle": _regular(3),
    "square": _regular(4, np.pi / 4) * 1.1,
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star": _star(5, 0.42),
    "burst": _star(9, 0.62),
    "cross": _polygon(
        (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3),
        (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3),
    ),
    "arrow": _polygon(
        (-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.28), (-1, 0.28)
    ),
    "crescent": _crescent(),
    "heart": _heart(),
    "bolt": _polygon(
        (0.25, -1), (-0.6, 0.12), (-0.05, 0.12), (-0.3, 1), (0.62, -0.2), (0.08, -0.2)
    ),
    "house": _polygon(
        (0, -1), (0.95, -0.15), (0.68, -0.15), (0.68, 0.9), (-0.68, 0.9), (-0.68, -0.15),
        (-0.95, -0.15),
    ),
    "drop": np.concatenate([_polygon((0, -1.05)), _arc(-0.35, np.pi + 0.35, 0.66, 0, 0.35)]),
    "tee": _polygon(
        (-0.9, -0.9), (0.9, -0.9), (0.9, -0.35), (0.3, -0.35), (0.3, 0.95), (-0.3, 0.95),
        (-0.3, -0.35), (-0.9, -0.35),
    ),
}  # fmt: skip
CLASSES = tuple(SHAPES)


def draw_set(count: int, seed: int) -> tuple[Image, NDArray[np.int64]]:
    """Draw `count` images, classes in equal shares and in random order.

    Returns:
        images (count, 64, 64, 3) uint8 RGB, labels (count,) int64.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    images = np.stack([draw(int(label), rng) for label in labels])
    return images, labels.astype(np.int64)


def draw(label: int, rng: np.random.Generator) -> Image:
    """One image of class `label`, (64, 64, 3) uint8 RGB."""
    canvas = _background(rng)
    for _ in range(rng.integers(1, 4)):
        _distractor(canvas, rng)
    centre = CANVAS / 2 + rng.uniform(-0.16, 0.16, 2) * CANVAS
    _figure(canvas, CLASSES[label], centre, rng.uniform(0.24, 0.38) * CANVAS, rng)
    _occlude(canvas, rng)
    image = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return _degrade(image, rng)


def _background(rng: np.random.Generator) -> Image:
    coarse = rng.integers(2, 9)
    texture = rng.integers(30, 226, (coarse, coarse, 3)).astype(np.float32)
    smooth = cv2.resize(texture, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    base = rng.integers(40, 216, 3).astype(np.float32)
    mixed = 0.55 * base + 0.45 * smooth
    return np.ascontiguousarray(mixed.clip(0, 255).astype(np.uint8))


def _distractor(canvas: Image, rng: np.random.Generator) -> None:
    """A small figure or a line: clutter that is never as large as the figure that counts."""
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    centre = rng.uniform(0, CANVAS, 2)
    if rng.random() < 0.4:
        end = centre + rng.normal(0, CANVAS / 3, 2)
        first, last = centre.astype(int).tolist(), end.astype(int).tolist()
        cv2.line(canvas, first, last, colour, int(rng.integers(3, 9)), cv2.LINE_AA)
        return
    name = CLASSES[rng.integers(len(CLASSES))]
    _figure(canvas, name, centre, rng.uniform(0.04, 0.09) * CANVAS, rng)


def _figure(
    canvas: Image, name: str, centre: Points, radius: float, rng: np.random.Generator
) -> None:
    """A turned, stretched figure in a colour that differs from what it covers."""
    turn = rng.normal(0, 0.3)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    stretch = np.diag(rng.uniform(0.75, 1.2, 2))
    points = (SHAPES[name] @ stretch @ rotation * radius + centre).astype(np.int32)
    x, y = np.clip(centre.astype(int), 0, CANVAS - 1)
    below = canvas[y, x].astype(np.float32)
    for _ in range(20):
        colour = rng.integers(0, 256, 3)
        if np.abs(colour - below).sum() > 130 / DIFFICULTY:
            break
    layer = canvas.copy()
    cv2.fillPoly(layer, [points], tuple(int(c) for c in colour), cv2.LINE_AA)
    opacity = rng.uniform(0.8, 1.0)
    canvas[:] = cv2.addWeighted(layer, opacity, canvas, 1 - opacity, 0)


def _occlude(canvas: Image, rng: np.random.Generator) -> None:
    """A bar across the image, in some of the cases."""
    if rng.random() > 0.4 * DIFFICULTY:
        return
    start = rng.uniform(0, CANVAS, 2).astype(int).tolist()
    end = rng.uniform(0, CANVAS, 2).astype(int).tolist()
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    cv2.line(canvas, start, end, colour, int(rng.integers(8, 22)), cv2.LINE_AA)


def _degrade(image: Image, rng: np.random.Generator) -> Image:
    """Light gradient, loss of contrast, blur and sensor noise, in that order."""
    out = image.astype(np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    light = 1 + rng.uniform(0, 0.5) * (np.cos(direction) * x + np.sin(direction) * y)
    out *= light[..., None]
    out = (out - 128) * rng.uniform(0.55, 1.1) + 128 + rng.uniform(-30, 30)
    sigma = max(0.0, rng.normal(0.4, 0.5)) * DIFFICULTY
    if sigma > 0.2:
        out = cv2.GaussianBlur(out, (0, 0), sigma)
    out += rng.normal(0, rng.uniform(2, 11) * DIFFICULTY, out.shape)
    return out.clip(0, 255).astype(np.uint8)
