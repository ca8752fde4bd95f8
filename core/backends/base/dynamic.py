"""Integer products that a runtime chooses by itself: "dynamic quantization".

Where weights are stored in few bits and activations are float, runtimes of today quantize the
activations anew in every call, by default and unasked. It is faster and errs by 3e-3 to 5e-3, so it
is a named precision here, and what is called f32 switches it off. Whether it happens depends on the
CPU, and no property tells: a product whose answer is known is run, and its error looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.backends.base import Session, Tensors
from core.errors import BackendUnavailable

DYNAMIC_INT8 = "dynamic_int8"
# x (2, 32) times int8 weights (32, 16) of one scale; made anew, and compared, by its test.
PROBE = Path(__file__).with_name("dynamic_probe.onnx")
PROBE_SHAPE = (2, 32)
FLOAT_ERROR = 1e-5  # float32 products are off by 1e-7 here, those of 8 bits by 4e-3


def probe_feeds() -> Tensors:
    """Values that no grid of 8 bits holds exactly."""
    values = np.linspace(1 / 3, 1, PROBE_SHAPE[1], dtype=np.float32)
    return {"x": np.tile(values, (PROBE_SHAPE[0], 1))}


def is_rounded(run: Callable[[Tensors], Tensors]) -> bool:
    """Whether a session on `PROBE` quantizes what it multiplies.

    The model has a second output: the same product of weights that are stored in float.
    """
    given = run(probe_feeds())
    exact = given["exact"].astype(np.float64)
    error = np.sqrt(np.mean((given["y"] - exact) ** 2) / np.mean(exact**2))
    return bool(error > FLOAT_ERROR)


def confirm(runtime: str, opened: Callable[[Path], Session]) -> None:
    """Hold `DYNAMIC_INT8` to its name, with a session on `PROBE` opened for it.

    Raises:
        BackendUnavailable: on this CPU this runtime computes such products in float.
    """
    session = opened(PROBE)
    try:
        rounded = is_rounded(session.run)
    finally:
        session.close()
    if not rounded:
        raise BackendUnavailable(
            f"{runtime} quantizes nothing by itself on this CPU: dynamic int8 would be f32."
        )
