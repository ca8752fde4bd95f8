"""Draw the sample images, train the four sample nets on them, export and describe them.

    pip install -r requirements/samples.txt
    python sample_models/make_samples.py                # everything, about half an hour on 2 cores
    python sample_models/make_samples.py --only mobile  # one net, on the images that are there

The same seed draws the same images; weights differ a little from machine to machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import draw
import nets
import numpy as np
import onnx
import onnxruntime as ort
import sets
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
OPSET = 17
EPOCHS, BATCH, PEAK_RATE, WEIGHT_DECAY, SMOOTHING = 14, 64, 3e-3, 1e-2, 0.05
# Without batch norm the same rate diverges: a third of it trains.
RATE_FACTOR = {"plain": 0.33}
ABOUT = {
    "plain": ("Plain convolutions", "Eight 3x3 convolutions in a row: no batch norm, no shortcut."),
    "plain_bn": ("Plain + batch norm", "The same net with a batch norm behind every convolution."),
    "resnet": ("ResNet", "Batch norm and shortcuts: two convolutions per block and a sum."),
    "mobile": ("Depthwise separable", "Depthwise and pointwise convolutions with batch norm."),
}
PREPROCESS = {
    "color": "rgb",
    "scale": sets.SCALE,
    "mean": sets.MEAN,
    "std": sets.STD,
    "layout": "NCHW",
    "dtype": "float32",
}
NET_TABLE = """
| net | top-1 | parameters | MACs | bytes | batch norms | SHA-256 |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
"""
NET_ROW = (
    "| `{name}.onnx` | {top1:.2f} % | {params:,} | {macs:,} | {size_bytes:,} | {batch_norms} "
    "| `{digest}` |\n"
)
SET_TABLE = """
| images | count | bytes | SHA-256 |
| --- | ---: | ---: | --- |
"""
TABLE_START, TABLE_END = "<!-- tables: written by make_samples.py -->", "<!-- end of tables -->"
Sample = Mapping[str, object]


def train(name: str, images: sets.Images, labels: sets.Labels, epochs: int) -> nn.Module:
    """Train one net with AdamW and a one-cycle rate on smoothed labels."""
    torch.manual_seed(0)
    net = nets.build(name, len(draw.CLASSES))
    steps = len(images) // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY)
    peak = PEAK_RATE * RATE_FACTOR.get(name, 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps * epochs)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    targets = torch.from_numpy(labels)
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        order = torch.randperm(len(images))
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            batch = torch.from_numpy(sets.preprocess(images[chosen.numpy()]))
            loss = loss_of(net(batch), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.time() - start
        print(f"{name} epoch {epoch + 1}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    return net.eval()


def export(name: str, net: nn.Module) -> Path:
    """Write NAME.onnx with its batch norms kept and its preprocessing in the metadata."""
    path = HERE / f"{name}.onnx"
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, draw.SIZE, draw.SIZE),),
        str(path),
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
    )
    model = onnx.load(path)
    for key, value in (("preprocess", PREPROCESS), ("labels", draw.CLASSES)):
        model.metadata_props.add(key=f"lathe.{key}", value=json.dumps(value))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    (HERE / f"{name}.preprocess.json").write_text(json.dumps(PREPROCESS, indent=1) + "\n")
    return path


def check(path: Path, net: nn.Module, images: sets.Images) -> None:
    """Compare the file with the net that it was exported from.

    Raises:
        RuntimeError: a batch norm is missing or still in training mode, or an answer differs.
    """
    norms = _batch_norms(path)
    expected = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    training = any(a.name == "training_mode" and a.i for node in norms for a in node.attribute)
    if len(norms) != expected or training or any(len(node.output) != 1 for node in norms):
        raise RuntimeError(
            f"{path.name}: the export did not keep {expected} batch norms as they are"
        )
    with torch.inference_mode():
        answers = net(torch.from_numpy(sets.preprocess(images))).argmax(1).numpy()
    if differing := int((answers != classify(path, images)).sum()):
        raise RuntimeError(f"{path.name}: {differing} answers differ from those of PyTorch")


def _batch_norms(path: Path) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "BatchNormalization"]


def classify(path: Path, images: sets.Images) -> sets.Labels:
    """The class that ONNX Runtime gives to each image."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = np.array_split(images, max(1, len(images) // 100))
    feeds = ({"input": np.ascontiguousarray(sets.preprocess(batch))} for batch in batches)
    return np.concatenate([np.argmax(session.run(["logits"], feed)[0], 1) for feed in feeds])


def describe(name: str, images: sets.Images, labels: sets.Labels) -> Sample:
    """What the app shows of a sample before it opens the file; `top1` is in percent."""
    path = HERE / f"{name}.onnx"
    title, description = ABOUT[name]
    net = nets.build(name, len(draw.CLASSES))
    return {
        "name": name,
        "file": path.name,
        "title": title,
        "description": description,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "top1": round(100 * float((classify(path, images) == labels).mean()), 2),
        "params": sum(parameter.numel() for parameter in net.parameters()),
        "macs": macs(net),
        "size_bytes": path.stat().st_size,
        "batch_norms": len(_batch_norms(path)),
    }


def macs(net: nn.Module) -> int:
    """Multiply-accumulates of convolutions and fully connected layers for one image."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        if isinstance(weight, torch.Tensor):
            total += output[0].numel() * weight[0].numel()

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    net.eval()(torch.zeros(1, 3, draw.SIZE, draw.SIZE))
    return total


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
    torch.set_num_threads(options.threads)
    if not options.only and not options.describe:
        sets.write_set("evaluation", labelled=True)
        sets.write_set("calibration", labelled=False)
        sets.write_contact_sheet()
    if options.data_only:
        return
    images, labels = sets.read_set("evaluation")
    if not options.describe:
        training = sets.training_set()
        for name in options.only or ABOUT:
            net = train(name, *training, options.epochs)
            check(export(name, net), net, images)
    present = [name for name in ABOUT if (HERE / f"{name}.onnx").exists()]
    write_descriptions([describe(name, images, labels) for name in present])


if __name__ == "__main__":
    main()
