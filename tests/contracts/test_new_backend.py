"""A new backend is one file: forms offer it, charts colour it, int8 is written for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = '''
from core.backends.base import Tensors
from core.records import BackendFacts, Int8Facts


class Brand:
    """A runtime of tomorrow."""

    label = "Brand New"
    precisions = ("f32",)
    remedy = "pip install brand"
    about = "For a test."
    accepts = ("onnx",)
    facts = BackendFacts("#123456", Int8Facts(signed=True, wide=True), opening=True, place=25)


BACKEND = Brand()
'''
SCRIPT = """
import core.backends
core.backends.__path__.append({folder!r})
from core.backends.base import opening
from core.calibration import targets
from core.charts import palette
from core.passes.base import build, catalogue, parameters
from core.passes.quantize_int8.readers import readers_of, runtime_of
from core.records import Step
from tests.calibration.fake_services import FakeServices

assert palette.color("brand:f32") == "#123456"
assert opening() == ("onnxruntime", "openvino", "brand", "opencv")
for name in ("prune_channels", "replace_convolutions", "quantize_int8"):
    assert "brand" in parameters(catalogue()[name])["backend"][1].choices, name
chosen = build(Step("quantize_int8", {{"backend": "brand"}}))
assert chosen._scheme().signed and chosen._scheme().target.wide
there = FakeServices()
there.runtimes["brand"] = runtime = object()
assert runtime_of(there, "brand") is runtime
assert readers_of(there, "opencv") == [runtime]
"""


def test_a_new_backend_is_one_file(tmp_path: Path):
    (tmp_path / "brand.py").write_text(FILE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
