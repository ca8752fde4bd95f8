"""Write the nets of the catalogue, and image sets for them.

    python -m benchmarks.nets OUT [--only NAME ...] [--bn] [--photographs IMAGES.zip] [--images]

Writes OUT/NAME.onnx, with --bn OUT/NAME_bn.onnx, whose batch norms are nodes of their own. With
--images also OUT/images256.npz (256 of 224 x 224) and OUT/images640.npz (64 of 640 x 640), uint8
under the key `images`. The statistics of the batch norms are those of the photographs in the
archive, or of noise with their spectrum where none is given.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.nets import BIG, NETS, build, find, pictures

LARGEST_FILE = 2_000_000_000  # bytes; a protobuf message ends at 2 GiB
SETS = {"images256.npz": (256, 224), "images640.npz": (64, 640)}


def main() -> int:
    """Write what was asked for; one line for each file."""
    asked = _options()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.images:
        for name, (count, size) in SETS.items():
            np.savez(asked.out / name, images=_images(asked.photographs, count, size))
            print(f"{name}: {count} images of {size} x {size}", flush=True)
    for name in asked.only or NETS:
        start = time.monotonic()
        net = find(name)
        model = build(name, _images(asked.photographs, net.probes, net.size), asked.bn)
        path = asked.out / f"{name}{'_bn' if asked.bn else ''}.onnx"
        megabytes = write(model, path) / 1e6
        print(f"{path.name}: {megabytes:.1f} MB, {time.monotonic() - start:.0f} s", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=[], choices=[*NETS, *BIG], metavar="NAME")
    parser.add_argument("--bn", action="store_true", help="keep batch norms as nodes")
    parser.add_argument("--photographs", type=Path, help="zip of images to draw from")
    parser.add_argument("--images", action="store_true", help="write the image sets too")
    return parser.parse_args()


def write(model: ir.Model, path: Path) -> int:
    """The bytes of the weights; they go into a file beside the model where one cannot hold them."""
    tensors = (one.const_value for one in model.graph.initializers.values())
    weights = sum(int(tensor.nbytes) for tensor in tensors if tensor is not None)
    ir.save(model, path, external_data=f"{path.name}.data" if weights > LARGEST_FILE else None)
    return weights


def _images(archive: Path | None, count: int, size: int) -> np.ndarray:
    if archive is None:
        return pictures.noise(count, size)
    return pictures.photographs(archive, count, size)


if __name__ == "__main__":
    sys.exit(main())
