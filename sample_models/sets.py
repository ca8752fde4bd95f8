"""Write and read the image sets as zips of JPEG files, and turn pixels into what the nets take.

Training images pass through the same codec, so that nets see in use what they saw in training.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import draw
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
TRAINING = 16000
COUNTS = {"evaluation": 2000, "calibration": 512}
SEEDS = {"evaluation": 1, "calibration": 2, "training": 3}
JPEG_QUALITY = 92
SHEET_COLUMNS, SHEET_QUALITY = 12, 75
SCALE, MEAN, STD = 1 / 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def encode(image: Images, quality: int = JPEG_QUALITY) -> bytes:
    """An RGB image as JPEG."""
    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def decode(data: bytes) -> Images:
    """The RGB pixels that a reader of the file sees."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)


def training_set() -> tuple[Images, Labels]:
    """Images (N, 64, 64, 3) uint8 RGB and labels (N,), as the codec leaves them."""
    images, labels = draw.draw_set(TRAINING, SEEDS["training"])
    return np.stack([decode(encode(image)) for image in images]), labels


def write_set(name: str, labelled: bool) -> None:
    """Draw a set into NAME.zip, with labels.csv if it is labelled."""
    images, labels = draw.draw_set(COUNTS[name], SEEDS[name])
    lines = ["file,label"]
    with zipfile.ZipFile(HERE / f"{name}.zip", "w", zipfile.ZIP_STORED) as archive:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = f"{index:04d}.jpg"
            archive.writestr(_entry(file), encode(image))
            lines.append(f"{file},{label}")
        if labelled:
            archive.writestr(_entry("labels.csv"), "\n".join(lines) + "\n")


def _entry(file: str) -> zipfile.ZipInfo:
    """A fixed date, so that the same images make the same bytes."""
    return zipfile.ZipInfo(file, date_time=(2026, 1, 1, 0, 0, 0))


def read_set(name: str) -> tuple[Images, Labels]:
    """Images and labels of a labelled set, as its readers decode them."""
    with zipfile.ZipFile(HERE / f"{name}.zip") as archive:
        rows = archive.read("labels.csv").decode().split()[1:]
        pairs = [row.split(",") for row in rows]
        images = np.stack([decode(archive.read(file)) for file, _ in pairs])
    return images, np.array([int(label) for _, label in pairs])


def write_contact_sheet() -> None:
    """One row per class of evaluation images, in the order of the labels."""
    images, labels = read_set("evaluation")
    rows = [images[labels == label][:SHEET_COLUMNS] for label in range(len(draw.CLASSES))]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    (HERE / "contact_sheet.jpg").write_bytes(encode(sheet, SHEET_QUALITY))


def preprocess(images: Images) -> NDArray[np.float32]:
    """(N, 64, 64, 3) uint8 RGB -> (N, 3, 64, 64) float32."""
    pixels = (images.astype(np.float32) * np.float32(SCALE) - np.float32(MEAN)) / np.float32(STD)
    return pixels.transpose(0, 3, 1, 2)


def classify(path: Path, images: Images) -> Labels:
    """The class that ONNX Runtime gives to each image."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = np.array_split(images, max(1, len(images) // 100))
    feeds = ({"input": np.ascontiguousarray(preprocess(batch))} for batch in batches)
    return np.concatenate([np.argmax(session.run(["logits"], feed)[0], 1) for feed in feeds])
