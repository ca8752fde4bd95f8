"""Session options of ONNX Runtime: which arithmetic, which threads, and what was really taken.

Since version 1.32 it turns a product with weights of 4 or 8 bits into one of integers by default
(`accuracy_level` 4), as OpenVINO does: see `dynamic`. The other entries pin what is off by
default today, so that a later version, or another CPU, does not choose otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.backends.base import cores
from core.backends.base.dynamic import DYNAMIC_INT8
from core.errors import BackendUnavailable
from core.records import RunOptions

ACCURACY = "session.qdq_matmulnbits_accuracy_level"
EXACT = {
    ACCURACY: "1",  # float32 products; 4 are those of int8
    "mlas.enable_gemm_fastmath_arm64_bfloat16": "0",
    "mlas.use_lut_gemm": "0",
    "optimization.enable_gelu_approximation": "0",
}
ENTRIES: Mapping[str, Mapping[str, str]] = {
    "f32": EXACT,
    DYNAMIC_INT8: EXACT | {ACCURACY: "4"},
}


def settings(options: RunOptions) -> Any:
    """Options with the arithmetic and the threads pinned."""
    import onnxruntime as ort

    made = ort.SessionOptions()
    made.intra_op_num_threads = cores(options.threads)
    made.inter_op_num_threads = 1
    made.log_severity_level = 3
    for key, value in ENTRIES[options.precision].items():
        made.add_session_config_entry(key, value)
    return made


def read_back(session: Any, options: RunOptions) -> Mapping[str, str]:
    """Hold a session to the options that it was asked for; what decides its times, in words.

    Raises:
        BackendUnavailable: this version did not take one of them.
    """
    taken, threads = session.get_session_options(), cores(options.threads)
    for key, wanted in ENTRIES[options.precision].items():
        got = taken.get_session_config_entry(key)
        if got != wanted:
            raise BackendUnavailable(f"ONNX Runtime has {key} at {got!r}, not at {wanted!r}.")
    if (actual := taken.intra_op_num_threads) != threads:
        raise BackendUnavailable(f"ONNX Runtime uses {actual} threads, not {threads}.")
    return {
        "threads": str(actual),
        "spinning": "on, the default" if threads > 1 else "no threads that could",
        "dynamic quantization": "on" if options.precision == DYNAMIC_INT8 else "off",
    }
