"""Train one sample net with PyTorch, export it with its batch norms kept, and check the file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import draw
import nets
import onnx
import sets
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
OPSET = 17
BATCH, PEAK_RATE, WEIGHT_DECAY, SMOOTHING = 64, 3e-3, 1e-2, 0.05
# Without batch norm the same rate diverges: a third of it trains.
RATE_FACTOR = {"plain": 0.33}
PREPROCESS = {
    "color": "rgb",
    "scale": sets.SCALE,
    "mean": sets.MEAN,
    "std": sets.STD,
    "layout": "NCHW",
    "dtype": "float32",
}


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
    if differing := int((answers != sets.classify(path, images)).sum()):
        raise RuntimeError(f"{path.name}: {differing} answers differ from those of PyTorch")


def _batch_norms(path: Path) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "BatchNormalization"]
