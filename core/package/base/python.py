"""predict.py: one image, or arrays, through a model, in a script that stands alone.

Every line is written for this model: steps that would change nothing are not there. Texts of the
model become string literals, so that none of them is ever code.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from core.package.base import Snippet
from core.package.base.literals import literal
from core.package.base.outputs import shown
from core.package.base.pixels import Crop, Pixels, Resize
from core.package.base.subject import Subject

CAST = (
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64", "bool",
)  # fmt: skip
CORES = (  # as `core.backends.base.cores` counts them
    'len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()'
)
READ = """
def read(path):
    \"\"\"An image file -> (height, width, 3) uint8, {order}.\"\"\"
    image = cv2.imread(path, cv2.{flag})
    if image is None:
        sys.exit(f"{{path}}: not an image that OpenCV reads")
    return image
"""
READ_ARRAY = """
def read(path):
    \"\"\"A .npy file -> (height, width, {channels}) uint8.\"\"\"
    return np.load(path)
"""
MAIN_IMAGE = """
if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python predict.py {what}")
    image = read(sys.argv[1])
    show(run(load(), {{{name}: preprocess(image)}}){more})
"""
MAIN_ARRAYS = """
if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python predict.py ARRAYS.npz")
    show(run(load(), read(sys.argv[1])))
"""


def script(subject: Subject, snippet: Snippet, about: str) -> str:
    """The program.

    Args:
        subject: the model.
        snippet: how the backend runs it.
        about: one line for the head, made of words of our own.
    """
    pixels = subject.pixels
    body = [*_reading(subject, pixels), snippet.load(subject).strip("\n"), ""]
    body += ["", snippet.run(subject).strip("\n"), ""]
    show = shown(subject if snippet.in_order or len(subject.outputs) == 1 else None)
    body += ["", show.code.strip("\n"), ""]
    if pixels is None:
        body.append(MAIN_ARRAYS)
    else:
        main = MAIN_IMAGE.format(
            what="IMAGE" if pixels.is_decoded else "PIXELS.npy",
            name=literal(subject.inputs[0].name),
            more=", image" if show.needs_image else "",
        )
        body.append(main)
    code = "\n".join(body)
    return f'"""{about}"""\n\n{_head(snippet, code)}\n\n\n{code.strip()}\n'


def threads(subject: Subject) -> str:
    """How many threads were measured, as an expression; 0 is every core that may be used."""
    return str(subject.threads) if subject.threads else CORES


def here(file: str) -> str:
    """The path of a file beside the script, as text."""
    return f'str(HERE / "{file}")'


def _head(snippet: Snippet, code: str) -> str:
    """What the code imports, and the folder; a name inside of a text is none that is used."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    first = [*(f"import {name}" for name in ("json", "os", "sys") if name in used)]
    vendor = {*snippet.imports, *(["import cv2"] if "cv2" in used else []), "import numpy as np"}
    lines = [*first, "from pathlib import Path", "", *sorted(vendor)]
    return "\n".join([*lines, "", "HERE = Path(__file__).parent"])


def _reading(subject: Subject, pixels: Pixels | None) -> list[str]:
    if pixels is None:
        return [_read_arrays(subject)]
    if pixels.is_decoded:
        bgr = pixels.how.color == "bgr"
        flag = "IMREAD_COLOR" if bgr else "IMREAD_COLOR_RGB"
        read = READ.format(order="BGR" if bgr else "RGB", flag=flag)
    else:
        read = READ_ARRAY.format(channels=pixels.channels or "channels")
    return [read, _preprocess(subject, pixels), ""]


def _read_arrays(subject: Subject) -> str:
    lines = ["", "def read(path):", '    """A .npz file with an array for each input."""']
    lines += ["    with np.load(path) as arrays:", "        return {"]
    for spec in subject.inputs:
        name = literal(spec.name)
        cast = f".astype(np.{spec.dtype})" if spec.dtype in CAST else ""
        lines.append(f"            {name}: arrays[{name}]{cast},  # {_sizes(spec.shape)}")
    return "\n".join([*lines, "        }", "", ""])


def _preprocess(subject: Subject, pixels: Pixels) -> str:
    lines = ["", "def preprocess(image):"]
    shape = _sizes((subject.batch, *subject.inputs[0].shape[1:]))
    lines.append(f'    """(height, width, channels) uint8 -> {shape} {pixels.dtype}."""')
    if pixels.how.color == "gray":
        lines += [
            "    gray = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)",
            "    image = np.rint(gray).astype(np.uint8)",
        ]
    for step in pixels.steps:
        lines += _step(step)
    lines += [f"    {line}" for line in _numbers(pixels, subject.batch)]
    return "\n".join([*lines, ""])


def _sizes(shape: Sequence[int | str]) -> str:
    """A shape in which what is open has no name, since a name is the model's own."""
    return f"[{', '.join(str(size) if isinstance(size, int) else '?' for size in shape)}]"


def _step(step: Resize | Crop) -> list[str]:
    if isinstance(step, Resize):
        size = f"({step.width}, {step.height})"
        return [f"    image = cv2.resize(image, {size}, interpolation=cv2.INTER_LINEAR)"]
    if step.top is None or step.left is None:
        return [
            f"    top = max(0, (image.shape[0] - {step.height}) // 2)",
            f"    left = max(0, (image.shape[1] - {step.width}) // 2)",
            f"    image = image[top : top + {step.height}, left : left + {step.width}]",
        ]
    rows = f"{step.top} : {step.top + step.height}"
    return [f"    image = image[{rows}, {step.left} : {step.left + step.width}]"]


def _numbers(pixels: Pixels, batch: int) -> list[str]:
    """Lines that make the input of the resized image."""
    how, gray = pixels.how, pixels.how.color == "gray"
    if pixels.is_raw and how.dtype == "uint8":
        lines = ["x = image"]
    else:
        lines = ["x = image.astype(np.float32)"]
    if not pixels.is_raw:
        lines += [f"x *= np.float32({how.scale!r})"] if how.scale != 1 else []
        lines += [f"x -= {_constant(how.mean)}"] if set(how.mean) != {0} else []
        lines += [f"x /= {_constant(how.std)}"] if set(how.std) != {1} else []
    if pixels.rounded:
        lines.append("x = np.clip(np.rint(x), 0, 255).astype(np.uint8)")
    if (made := "uint8" if how.dtype == "uint8" else "float32") != pixels.dtype:
        lines.append(f"x = x.astype(np.{pixels.dtype})  # from {made}")
    if how.layout == "NCHW":
        axes = "x[None, None]" if gray else "x.transpose(2, 0, 1)[None]"
        layout = "N, C, H, W"
    else:
        axes, layout = "x[None, :, :, None]" if gray else "x[None]", "N, H, W, C"
    if batch > 1:
        lines.append(f"x = np.repeat({axes}, {batch}, axis=0)  # it takes {batch} at once")
        axes = "x"
    return [*lines, f"return np.ascontiguousarray({axes})  # {layout}"]


def _constant(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"np.float32({values[0]!r})"
    return f"np.array([{', '.join(map(repr, values))}], np.float32)"
