"""What is imported with what, asked in a fresh interpreter: catalogues stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.backends.base import catalogue as backends
from core.passes.base import catalogue as passes

VENDORS = {
    "onnxruntime", "openvino", "cv2", "torch", "ncnn", "MNN", "tensorrt", "executorch",
    "ai_edge_litert", "tensorflow", "onnxscript",
}  # fmt: skip
SCREEN = {"streamlit", "plotly"}


def loaded_by(statement: str) -> set[str]:
    """The packages that a fresh interpreter holds after `statement`."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def test_the_question_can_be_answered_with_yes():
    assert "onnxruntime" in loaded_by("import onnxruntime")


def test_the_passes_load_no_vendor_package():
    loaded = loaded_by("import core.passes.base as b; b.catalogue()")
    assert not loaded & (VENDORS | SCREEN)


def test_the_backends_load_no_vendor_package_and_no_model_format():
    loaded = loaded_by("import core.backends.base as b; b.catalogue()")
    assert not loaded & (VENDORS | SCREEN | {"onnx", "onnx_ir"})


def test_versions_are_read_without_importing_the_runtimes():
    loaded = loaded_by("import core.measure; core.measure.host()")
    assert not loaded & (VENDORS | SCREEN)


def test_a_worker_that_times_starts_without_model_formats():
    loaded = loaded_by("import core.worker.desk")
    assert not loaded & (VENDORS | SCREEN | {"onnx", "onnx_ir"})


def test_the_workshop_needs_no_screen():
    assert not loaded_by("import core.pipeline.workshop") & SCREEN


@pytest.mark.parametrize("module", ["core.runs", "core.charts"])
def test_what_the_web_process_uses_parses_no_model(module: str):
    assert not loaded_by(f"import {module}") & (VENDORS | {"streamlit"})


def test_the_catalogues_are_not_empty():
    assert {"fold_batch_norm", "quantize_static"} <= set(passes())
    assert {"onnxruntime", "openvino", "opencv", "opencv_classic", "null"} <= set(backends())
