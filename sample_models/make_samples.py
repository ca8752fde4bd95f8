"""Draw the sample images, train the four sample nets on them, export and describe them.

    pip install -r requirements/torch.txt
    python sample_models/make_samples.py                # everything, about half an hour on 2 cores
    python sample_models/make_samples.py --only mobile  # one net, on the images that are there

The same seed draws the same images; weights differ a little from machine to machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import sets

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # run as a script: the project is not on the path

from core.pipeline.client import Workshop  # noqa: E402

EPOCHS = 14
ABOUT = {
    "plain": ("Plain convolutions", "Eight 3x3 convolutions in a row: no batch norm, no shortcut."),
    "plain_bn": ("Plain + batch norm", "The same net with a batch norm behind every convolution."),
    "resnet": ("ResNet", "Batch norm and shortcuts: two convolutions per block and a sum."),
    "mobile": ("Depthwise separable", "Depthwise and pointwise convolutions with batch norm."),
}
NET_TABLE = """
| net | top-1 | parameters | MACs | bytes | batch norms | SHA-256 |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
"""
NET_ROW = (
    "| `{name}.onnx` | {top1:.2f} % | {parameters:,} | {macs:,} | {size_bytes:,} | {batch_norms} "
    "| `{digest}` |\n"
)
SET_TABLE = """
| images | count | bytes | SHA-256 |
| --- | ---: | ---: | --- |
"""
TABLE_START, TABLE_END = "<!-- tables: written by make_samples.py -->", "<!-- end of tables -->"
Sample = Mapping[str, object]


def describe(name: str, images: sets.Images, labels: sets.Labels, workshop: Workshop) -> Sample:
    """What the app shows of a sample before it opens the file; `top1` is in percent.

    The file is first written as the gate writes an upload, so that its digest is the one under
    which the app keeps it.
    """
    path = HERE / f"{name}.onnx"
    title, description = ABOUT[name]
    with tempfile.TemporaryDirectory() as folder:
        summary = workshop.admit(path, path.name, Path(folder))
        shutil.copyfile(summary.path, path)
    return {
        "name": name,
        "file": path.name,
        "title": title,
        "description": description,
        "digest": summary.digest,
        "top1": round(100 * float((sets.classify(path, images) == labels).mean()), 2),
        "parameters": summary.parameters,
        "macs": summary.macs,
        "size_bytes": summary.size_bytes,
        "batch_norms": summary.batch_norms,
    }


def write_descriptions(samples: Sequence[Sample]) -> None:
    """Write samples.json and the tables of the README."""
    (HERE / "samples.json").write_text(json.dumps(samples, indent=1) + "\n")
    text = NET_TABLE + "".join(NET_ROW.format(**sample) for sample in samples) + SET_TABLE
    for name, count in sets.COUNTS.items():
        content = (HERE / f"{name}.zip").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        text += f"| `{name}.zip` | {count:,} | {len(content):,} | `{digest}` |\n"
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    readme.write_text(f"{before}{TABLE_START}\n{text}\n{TABLE_END}{after}")


def main() -> None:
    """Make what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=list(ABOUT), action="append", help="train these nets")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the images")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--data-only", action="store_true", help="draw the image sets and stop")
    parser.add_argument("--describe", action="store_true", help="train nothing, measure again")
    options = parser.parse_args()
    if not options.only and not options.describe:
        sets.write_set("evaluation", labelled=True)
        sets.write_set("calibration", labelled=False)
        sets.write_contact_sheet()
    if options.data_only:
        return
    images, labels = sets.read_set("evaluation")
    if not options.describe:
        train_nets(options.only or list(ABOUT), images, options.epochs, options.threads)
    present = [name for name in ABOUT if (HERE / f"{name}.onnx").exists()]
    with Workshop() as workshop:
        write_descriptions([describe(name, images, labels, workshop) for name in present])


def train_nets(names: Sequence[str], images: sets.Images, epochs: int, threads: int) -> None:
    """Train, export and check; the only part that needs PyTorch."""
    import torch
    import training

    torch.set_num_threads(threads)
    images_and_labels = sets.training_set()
    for name in names:
        net = training.train(name, *images_and_labels, epochs)
        training.check(training.export(name, net), net, images)


if __name__ == "__main__":
    main()
