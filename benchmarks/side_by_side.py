"""How long a small upload takes while another visitor's images of 64 megapixels are being read.

.venv/bin/python -m benchmarks.side_by_side [--images 24]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np

from core import graph as graphs
from core.workspace import Workspace
from tests.measure.subjects import net

SIDE = 8000


def main() -> int:
    """Print how long each upload took, alone and beside the large one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Workspace.open(Path(folder) / "home")) as workspace,
    ):
        report(workspace, "alone", 10)
        content = large(asked.images)
        print(
            f"large: {asked.images} images of {SIDE} x {SIDE}, {len(content) / 1e6:.0f} MB zipped"
        )
        done: list[float] = []

        def upload() -> None:
            begun = time.perf_counter()
            workspace.data.add("large.zip", content, "ann")
            done.append(time.perf_counter() - begun)

        thread = threading.Thread(target=upload)
        thread.start()
        time.sleep(1.0)
        report(workspace, "beside it", 11)
        print("the large one " + ("was done by then" if done else "was still being read then"))
        thread.join()
        print(f"the large one: {done[0]:.1f} s")
    return 0


def report(workspace: Workspace, when: str, width: int) -> None:
    """Upload a model of some kB and 20 small images as another visitor."""
    model = graphs.serialize(net(width))
    begun = time.perf_counter()
    workspace.models.add("small.onnx", model, "bob")
    between = time.perf_counter()
    images = io.BytesIO()
    np.savez(images, images=np.full((20, 32, 32, 3), width, np.uint8))
    workspace.data.add("small.npz", images.getvalue(), "bob")
    ended = time.perf_counter()
    print(f"{when}: model of {len(model) / 1e3:.1f} kB {between - begun:.2f} s, "
          f"20 images {ended - between:.2f} s")  # fmt: skip


def large(count: int) -> bytes:
    """A zip of smooth JPEGs, small on the way and 192 MB each in memory."""
    out = io.BytesIO()
    ramp = np.linspace(0, 255, SIDE, dtype=np.uint8)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            pixels = np.stack([np.roll(np.tile(ramp, (SIDE, 1)), 7 * number, 1)] * 3, axis=2)
            archive.writestr(f"{number}.jpg", cv2.imencode(".jpg", pixels)[1].tobytes())
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
