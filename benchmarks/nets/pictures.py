"""Images for probes and benchmarks: photographs of an archive, or noise with a 1/f spectrum."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from benchmarks.nets.tracing import Array
from core.records import Preprocess

LARGEST_CUT = 0.25  # share of the shorter side that a crop may leave out
ENDINGS = (".jpg", ".jpeg", ".png")


def photographs(archive: Path, count: int, size: int, seed: int = 0) -> Array:
    """(count, size, size, 3) uint8: each file once, then again, mirrored and cropped anew."""
    random = np.random.default_rng(seed)
    return np.stack([np.asarray(one) for one in _drawn(archive, count, size, random)])


def noise(count: int, size: int, seed: int = 0) -> Array:
    """(count, size, size, 3) uint8 with the spectrum of photographs, channels correlated."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    strength = 1 / np.maximum(frequency, 1 / size)
    white = random.standard_normal((count, 4, size, size))
    fields = np.fft.irfft2(np.fft.rfft2(white) * strength, s=(size, size))
    fields /= fields.std((2, 3), keepdims=True)
    images = 120 + 50 * (0.9 * fields[:, :1] + 0.45 * fields[:, 1:])
    return np.clip(images, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def prepared(images: Array, preprocess: Preprocess) -> Array:
    """The input of a net: (count, 3, H, W) float32, normalised as `preprocess` says."""
    scaled = images.astype(np.float32) * np.float32(preprocess.scale)
    normed = (scaled - np.array(preprocess.mean, np.float32)) / np.array(preprocess.std, np.float32)
    return np.ascontiguousarray(normed.transpose(0, 3, 1, 2))


def _drawn(archive: Path, count: int, size: int, random: Generator) -> Iterator[Image.Image]:
    with zipfile.ZipFile(archive) as opened:
        names = sorted(n for n in opened.namelist() if n.lower().endswith(ENDINGS))
        if count < len(names):  # spread: archives are often sorted by class
            names = [names[index * len(names) // count] for index in range(count)]
        for index in range(count):
            image = Image.open(io.BytesIO(opened.read(names[index % len(names)]))).convert("RGB")
            if index < len(names):
                yield ImageOps.fit(image, (size, size))
                continue
            side = int(min(image.size) * (1 - random.uniform(0, LARGEST_CUT)))
            left, top = (int(random.integers(0, 1 + span - side)) for span in image.size)
            cut = image.crop((left, top, left + side, top + side)).resize((size, size))
            yield ImageOps.mirror(cut)
