"""ONNX Runtime on the CPU: the reference that every other backend's output is compared with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from core.backends.base import Tensors, cores, cpu, dynamic, installed, onnx_settings
from core.backends.base.onnx_profile import OnnxProfileSession
from core.errors import InferenceFailed
from core.records import BackendFacts, Int8Facts, Package, RunOptions

REMEDY = "pip install -r requirements.txt"


class OnnxRuntimeSession:
    """One InferenceSession with all graph optimisations on; its threads spin, as by default."""

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Load `model`.

        Raises:
            InferenceFailed: ONNX Runtime does not take the model.
            BackendUnavailable: it does not take the options.
        """
        import onnxruntime as ort

        self._options = options
        settings = onnx_settings.settings(options)
        try:
            self._session: Any = ort.InferenceSession(
                str(model), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the vendor's exceptions share no base of their own
            raise InferenceFailed(f"ONNX Runtime could not load it: {error}") from error
        self.settings = onnx_settings.read_back(self._session, options)
        self.spins = cores(options.threads) > 1
        self._names = [output.name for output in self._session.get_outputs()]
        self._bound: tuple[Tensors, Any] | None = None

    @property
    def precision(self) -> str:
        """What was asked for: `read_back` has held it to that.

        Raises:
            BackendUnavailable: no dynamic int8 on this CPU.
        """
        wanted = self._options.precision
        if wanted == dynamic.DYNAMIC_INT8:
            dynamic.confirm("ONNX Runtime", lambda probe: OnnxRuntimeSession(probe, self._options))
        return wanted

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: ONNX Runtime's words.
        """
        try:
            values = self._session.run(None, feeds)
        except Exception as error:
            raise InferenceFailed(f"ONNX Runtime could not run it: {error}") from error
        return dict(zip(self._names, values, strict=True))

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        """Nanoseconds of each run with inputs and outputs bound, as onnxruntime_perf_test does.

        Converting arrays in and out of Python costs as much as a layer of a small net.

        Raises:
            InferenceFailed: ONNX Runtime's words.
        """
        if self._bound is None or self._bound[0] is not feeds:
            self._bound = feeds, self._binding(feeds)
        binding, run = self._bound[1], self._session.run_with_iobinding
        times = []
        try:
            for _ in range(runs):
                start = time.perf_counter_ns()
                run(binding)
                times.append(time.perf_counter_ns() - start)
        except Exception as error:
            raise InferenceFailed(f"ONNX Runtime could not run it: {error}") from error
        return tuple(times)

    def _binding(self, feeds: Tensors) -> Any:
        binding = self._session.io_binding()
        try:
            for name, value in feeds.items():
                binding.bind_cpu_input(name, value)
            for name in self._names:
                binding.bind_output(name)
        except Exception as error:
            raise InferenceFailed(f"ONNX Runtime does not take the inputs: {error}") from error
        return binding

    def close(self) -> None:
        """Free the session."""
        self._session = self._bound = None


class OnnxRuntime:
    """CPU execution provider."""

    label = "ONNX Runtime"
    precisions: tuple[str, ...] = ("f32", dynamic.DYNAMIC_INT8)
    remedy = REMEDY
    accepts: tuple[str, ...] = ("onnx",)
    about = "The reference runtime for ONNX, which all others are compared with."
    arithmetic = (
        "f32, dynamic_int8 (few-bit weights times activations rounded in every call), int8 (QDQ)"
    )

    @property
    def facts(self) -> BackendFacts:
        """u8 activations on x86, where signed ones take a kernel that hardly beats fp32."""
        int8 = Int8Facts(signed=cpu.is_arm(), saturates=cpu.saturates())
        return BackendFacts(
            "#2a7de1",
            int8,
            reference=True,
            opening=True,
            place=10,
            int8_does="QDQ files are computed in integers, fastest where the processor has VNNI.",
            package=Package("onnxruntime", 80_000_000, "MIT"),
        )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("onnxruntime", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> OnnxRuntimeSession:
        """A session on the CPU provider.

        Raises:
            InferenceFailed: ONNX Runtime does not take the model.
        """
        return OnnxRuntimeSession(artifact, options)

    def profile(self, artifact: Path, options: RunOptions) -> OnnxProfileSession:
        """A session that keeps the time of every kernel.

        Raises:
            InferenceFailed: ONNX Runtime does not take the model.
        """
        return OnnxProfileSession(artifact, options)


BACKEND = OnnxRuntime()
