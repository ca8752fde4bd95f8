"""Outputs in words: what predict.py prints of a model's outputs, by its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.package.base.literals import literal
from core.package.base.pixels import Crop, Pixels, Resize
from core.package.base.subject import Subject

LABELS = '    labels = (HERE / "labels.txt").read_text(encoding="utf-8").split("\\n")\n'
NUMBERS = """
def show(outputs):
    \"\"\"Shape and range of each output.\"\"\"
    for number, values in enumerate(outputs):
        print(f"output {number}: {values.dtype} {list(values.shape)}", end="")
        print(f", {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}")
"""
CLASSES = """
def show(outputs):
    \"\"\"The {most} classes with the highest scores.\"\"\"
    scores = {scores}.astype(np.float64)
{labels}    for number in np.argsort(-scores, kind="stable")[:{most}]:
        print(f"{{scores[number]:.6g}}  {named}")
"""
MAP = """
def show(outputs):
    \"\"\"The share of the pixels that each class has.\"\"\"
    classes = {classes}
{labels}    for number, count in zip(*np.unique(classes, return_counts=True)):
        print(f"{{count / classes.size:.2%}}  {named}")
"""
SUPPRESSED = """
def show(outputs, image):
    \"\"\"Boxes in pixels of the image: score, class, left, top, width, height.\"\"\"
    values = outputs[0][0].astype(np.float64)
    scores, classes = values[4:].max(0), values[4:].argmax(0)
    boxes = np.concatenate([values[:2] - values[2:4] / 2, values[2:4]]).T  # of the input
{scaled}{labels}    found = cv2.dnn.NMSBoxesBatched(boxes, scores, classes, 0.25, 0.7)
    kept = np.array(found, int).ravel()  # () where there are none
    for box, score, number in zip(boxes[kept], scores[kept], classes[kept]):
        print(f"{{score:.4f}}  {named}  " + " ".join(f"{{side:.1f}}" for side in box))
"""
LISTED = """
def show(outputs, image):
    \"\"\"Boxes in pixels of the image: score, class, left, top, width, height.\"\"\"
    found = dict(zip({names}, outputs))
    boxes = found["boxes"].reshape(-1, 4).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
{scaled}    for box, score, number in zip(boxes, found["scores"].ravel(), found["labels"].ravel()):
        if score >= 0.25:
            print(f"{{score:.4f}}  class {{number}}  " + " ".join(f"{{side:.1f}}" for side in box))
"""
MOST = 5


@dataclass(frozen=True, slots=True)
class Shown:
    """The code of a function `show(outputs)`, or `show(outputs, image)`."""

    code: str
    needs_image: bool = False


def shown(subject: Subject | None) -> Shown:
    """What is printed; of a subject that is not known to give its outputs in order, numbers."""
    made = WRITERS[subject.task](subject) if subject and subject.task in WRITERS else None
    return made or Shown(NUMBERS)


def _classification(subject: Subject) -> Shown:
    batch = subject.batch
    scores = "outputs[0].ravel()" if batch == 1 else f"outputs[0].reshape({batch}, -1)[0]"
    return Shown(CLASSES.format(most=MOST, scores=scores, **_labels(bool(subject.classes))))


def _segmentation(subject: Subject) -> Shown:
    scores = len(subject.outputs[0].shape) == 4 and subject.outputs[0].shape[1] != 1
    classes = "outputs[0][0].argmax(0)" if scores else "outputs[0][0].squeeze()"
    return Shown(MAP.format(classes=classes, **_labels(bool(subject.classes))))


def _detection(subject: Subject) -> Shown | None:
    scaled = _scaled(subject.pixels) if subject.pixels else None
    if scaled is None or subject.batch != 1:
        return None
    if len(subject.outputs) == 1:
        named = len(subject.labels) + 4 == subject.outputs[0].shape[1]
        return Shown(SUPPRESSED.format(scaled=scaled, **_labels(named)), needs_image=True)
    names = ", ".join(literal(spec.name) for spec in subject.outputs)
    return Shown(LISTED.format(scaled=scaled, names=f"({names})"), needs_image=True)


WRITERS: dict[str, Callable[[Subject], Shown | None]] = {
    "classification": _classification,
    "segmentation": _segmentation,
    "detection": _detection,
}


def _labels(named: bool) -> dict[str, str]:
    if named:
        return {"labels": LABELS, "named": "{labels[number]}"}
    return {"labels": "", "named": "class {number}"}


def _scaled(pixels: Pixels) -> str | None:
    """Lines that bring boxes of the input into pixels of the image; None where it is not known."""
    if pixels.size is None:
        return None
    height, width = pixels.size
    crops = [step for step in pixels.steps if isinstance(step, Crop)]
    lines = []
    if crops:
        first, crop = pixels.steps[0], crops[0]
        if crop.left is None or not isinstance(first, Resize):
            return None
        scale = f"[{crop.width} / {width}, {crop.height} / {height}]"
        lines += [f"boxes *= np.array(2 * {scale})  # of the resized image"]
        lines += [f"boxes[:, :2] += [{crop.left}, {crop.top}]"]
        height, width = first.height, first.width
    sides = f"[image.shape[1] / {width}, image.shape[0] / {height}]"
    lines.append(f"boxes *= np.array(2 * {sides})")
    return "".join(f"    {line}\n" for line in lines)
