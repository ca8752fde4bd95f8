"""OpenVINO on the CPU, with the arithmetic pinned and read back.

Left alone, OpenVINO picks bf16 by itself on CPUs that have it, and quantizes the activations of
layers with compressed weights by itself on CPUs with VNNI, both at a cost in accuracy; so each is a
named precision here, and f32 is what is asked for otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors, cores, cpu, dynamic, installed
from core.backends.base.openvino_profile import OpenVinoProfileSession
from core.errors import BackendUnavailable, InferenceFailed
from core.records import BackendFacts, Int8Facts, Json, Package, RunOptions

HINT = "INFERENCE_PRECISION_HINT"
GROUP = "DYNAMIC_QUANTIZATION_GROUP_SIZE"  # 0: activations stay as they are
# Off by default, both: zeros for denormals, and weights of mostly zeros in a sparse form.
_PLAIN = {"CPU_DENORMALS_OPTIMIZATION": False, "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": 1.0}
PROPERTIES: Mapping[str, Json] = {
    "f32": {HINT: "f32", GROUP: 0, "KV_CACHE_PRECISION": "f32", **_PLAIN},
    "bf16": {HINT: "bf16", GROUP: 0, "KV_CACHE_PRECISION": "bf16", **_PLAIN},
    dynamic.DYNAMIC_INT8: {HINT: "f32", "KV_CACHE_PRECISION": "f32", **_PLAIN},
}
_TYPES = {"float": "f32", "float32": "f32", "bfloat16": "bf16"}


class OpenVinoSession:
    """One compiled model with one stream and one inference request."""

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Compile `model`.

        Raises:
            InferenceFailed: OpenVINO does not take the model.
            BackendUnavailable: the arithmetic asked for is not what this CPU gives.
        """
        import openvino as ov

        self._options = options
        threads = cores(options.threads)
        try:
            core = ov.Core()
            self._compiled: Any = core.compile_model(
                core.read_model(str(model)),
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": "1",
                    **PROPERTIES[options.precision],
                },
            )
            self._request: Any = self._compiled.create_infer_request()
            capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        except Exception as error:
            raise InferenceFailed(f"OpenVINO could not load it: {error}") from error
        self.settings = self._read_back(threads, capabilities)
        self._outputs = [port.get_any_name() for port in self._compiled.outputs]
        self._bound: Tensors = {}

    @property
    def precision(self) -> str:
        """What was asked for: `_read_back` has held it to that.

        Raises:
            BackendUnavailable: no dynamic int8 on this CPU.
        """
        wanted = self._options.precision
        if wanted == dynamic.DYNAMIC_INT8:
            dynamic.confirm("OpenVINO", lambda probe: OpenVinoSession(probe, self._options))
        return wanted

    def _read_back(self, threads: int, capabilities: Sequence[str]) -> Mapping[str, str]:
        """Hold the compiled model to every property that it was asked for; those that count."""
        got = self._property(HINT)
        wanted = PROPERTIES[self._options.precision][HINT]
        if got != wanted:
            raise BackendUnavailable(f"OpenVINO computes in {got} on this CPU, not in {wanted}.")
        if wanted == "bf16" and "BF16" not in capabilities:
            raise BackendUnavailable(
                "OpenVINO only rounds to bf16 on this CPU: it computes in f32, not in bf16."
            )
        for name, value in PROPERTIES[self._options.precision].items():
            if self._property(name) != plain(value):
                raise BackendUnavailable(
                    f"OpenVINO has {name} at {self._property(name)}, not at {plain(value)}."
                )
        actual = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        if actual != threads:
            raise BackendUnavailable(f"OpenVINO uses {actual} threads, not {threads}.")
        group = self._property(GROUP)
        return {
            "threads": str(actual),
            "streams": self._property("NUM_STREAMS"),
            "hint": self._property("PERFORMANCE_HINT").rpartition(".")[2].lower(),
            "pinning": "on" if self._compiled.get_property("ENABLE_CPU_PINNING") else "off",
            "dynamic quantization": "off" if group == "0" else f"on, groups of {group}",
        }

    def _property(self, name: str) -> str:
        return plain(self._compiled.get_property(name))

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: OpenVINO's words.
        """
        values = self._infer(feeds)
        # The request writes the next outputs over these: what is kept must be a copy.
        return {name: np.array(values[i]) for i, name in enumerate(self._outputs)}

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        """Nanoseconds of each run by OpenVINO's own clock, as its benchmark_app takes them.

        Raises:
            InferenceFailed: OpenVINO's words.
        """
        times = []
        for _ in range(runs):
            self._infer(feeds)
            times.append(round(self._request.latency * 1e6))
        return tuple(times)

    def _infer(self, feeds: Tensors) -> Any:
        """The request's outputs by index.

        Arrays that are bound already are not bound again: that costs as much as a small layer.
        """
        try:
            if feeds.keys() == self._bound.keys() and all(
                value is self._bound[name] for name, value in feeds.items()
            ):
                return self._request.infer(share_outputs=True)
            self._bound = {}
            values = self._request.infer(feeds, share_inputs=True, share_outputs=True)
        except Exception as error:
            raise InferenceFailed(f"OpenVINO could not run it: {error}") from error
        if all(self._is_shared(name, value) for name, value in feeds.items()):
            self._bound = dict(feeds)
        return values

    def _is_shared(self, name: str, value: np.ndarray[Any, Any]) -> bool:
        """Whether the request reads this very memory; other arrays it has copied or cast."""
        bound = self._request.get_tensor(name).data
        return bool(bound.ctypes.data == value.ctypes.data and bound.dtype == value.dtype)

    def close(self) -> None:
        """Free the compiled model."""
        self._request = self._compiled = None
        self._outputs, self._bound = [], {}


def plain(value: Any) -> str:
    """A property as text that compares, whether it was set or read: types by their short name."""
    name = str(getattr(value, "to_string", lambda: value)())
    name = name.replace("<Type: '", "").replace("'>", "")
    try:
        return f"{float(name):g}"
    except ValueError:
        return _TYPES.get(name, name)


class OpenVino:
    """CPU plugin."""

    label = "OpenVINO"
    precisions: tuple[str, ...] = ("f32", "bf16", dynamic.DYNAMIC_INT8)
    remedy = "pip install -r requirements.txt"
    accepts: tuple[str, ...] = ("onnx", "openvino_ir")
    about = "Intel's runtime for PCs and servers."
    arithmetic = "f32; bf16 and dynamic_int8 where the CPU has them; int8 (QDQ)"

    @property
    def facts(self) -> BackendFacts:
        """As ONNX Runtime, on the same processors; a zero point costs its convolutions time."""
        int8 = Int8Facts(
            signed=cpu.is_arm(),
            saturates=cpu.saturates(),
            mixed=True,
            loses_stem_bias=True,
        )
        return BackendFacts(
            "#d9660f",
            int8,
            opening=True,
            place=20,
            int8_does="QDQ files are computed in integers, with signed or unsigned activations.",
            package=Package("openvino", 186_000_000, "Apache-2.0"),
        )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("openvino", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> OpenVinoSession:
        """A compiled model with threads and precision read back.

        Raises:
            InferenceFailed, BackendUnavailable
        """
        return OpenVinoSession(artifact, options)

    def profile(self, artifact: Path, options: RunOptions) -> OpenVinoProfileSession:
        """A compiled model that counts the time of every layer.

        Raises:
            InferenceFailed: OpenVINO does not take the model.
        """
        return OpenVinoProfileSession(artifact, options, PROPERTIES[options.precision])


BACKEND = OpenVino()
