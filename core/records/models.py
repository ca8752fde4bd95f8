"""Models and image sets, as the screen shows them before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.records.notes import Note
from core.records.recipes import StepReport

OPEN_SHAPE = "unknown: open shape"  # in the place of a count that depends on a size left open


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How pixels become a model input: x = (pixel * scale - mean) / std.

    Attributes:
        color: "rgb", "bgr", "gray", or "as_stored": all channels that the images have.
        scale: factor on the 0..255 pixel.
        mean, std: one number per channel, or one for all.
        resize: (H, W) before the crop, bilinear; None keeps the image.
        crop: (H, W) taken from the centre; None keeps the image.
        resize_after_crop: (H, W), bilinear.
        layout: "NCHW" or "NHWC".
        dtype: "float32" or "uint8".
    """

    color: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    resize_after_crop: tuple[int, int] | None = None
    layout: str = "NCHW"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output; a dimension is a number, or the name (or "?") of a dynamic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One node that computes.

    Attributes:
        name: the node's name.
        kind: what a person calls it ("conv 3x3", "depthwise 3x3", "fully connected").
        op_type: ONNX operator.
        output_shape: with dynamic dimensions as in TensorSpec.
        parameters: elements of its constant inputs.
        macs: multiply-accumulates for one sample; None where an open shape leaves them unknown.
        size_bytes: bytes of its constant inputs.
    """

    name: str
    kind: str
    op_type: str
    output_shape: tuple[int | str, ...]
    parameters: int
    macs: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """Everything the screen says of a model before anything runs; `macs` as in LayerCost.

    Attributes:
        size_bytes: of the user's own file with its external data; of what Lathe wrote otherwise.
        advice: what stands out in the architecture; `core.wording.advised` has the words.
        notes: what was done when the file was taken in.
        warnings: what is wrong with it, although it runs.
    """

    digest: str
    name: str
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    ir_version: int
    producer: str
    nodes: int
    parameters: int
    macs: int | None
    size_bytes: int
    batch_norms: int
    dynamic_dims: tuple[str, ...] = ()
    quantized: bool = False
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    layers: tuple[LayerCost, ...] = ()
    advice: tuple[Note, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class DataSummary:
    """An image set: `kind` is "images" or "tensors" (one preprocessed array per model input).

    Attributes:
        image_shape: of the first sample.
        labelled: whether each image has a class.
        shapes: by array ("images" for pixels), of every sample where all are of one shape; empty
            where they differ, or where only the first one was looked at.
        annotations: "labels", "masks" or "boxes"; empty for none, and where an older version wrote
            the record.
    """

    digest: str
    name: str
    path: Path
    kind: str
    count: int
    labelled: bool
    image_shape: tuple[int, ...] = ()
    classes: int = 0
    notes: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    annotations: str = ""

    @property
    def is_annotated(self) -> bool:
        """Whether a model can be scored on it, rather than compared with the original only."""
        return bool(self.annotated)

    @property
    def annotated(self) -> str:
        """The kind of the annotations, older records included; empty for none."""
        return self.annotations or ("labels" if self.labelled else "")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a recipe makes of a model, known without running it; nothing here is a measurement.

    `exact` is False where a pass needs data or a trial to know (then the numbers are bounds).
    """

    parameters: int
    macs: int | None
    size_bytes: int
    nodes: int
    exact: bool = True
    report: tuple[StepReport, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleModel:
    """A line of the table of sample models, read without opening the model."""

    name: str
    title: str
    description: str
    digest: str
    top1: float
    parameters: int
    macs: int
    size_bytes: int
    batch_norms: int
