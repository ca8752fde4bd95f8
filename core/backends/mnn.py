"""MNN on the CPU: Alibaba's runtime, on files of its own format, in float32.

Its Python package does not tell how many threads it uses, nor how long its layers take; precision
is asked for as "high", which is float32 on every processor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import Tensors, cores, installed
from core.errors import InferenceFailed
from core.records import BackendFacts, Package, RunOptions


class MnnSession:
    """One module."""

    precision = "f32"  # "high", which does not fall back

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Load `model`.

        Raises:
            InferenceFailed: MNN does not take the file.
        """
        import MNN

        threads = cores(options.threads)
        asked = {"backend": "CPU", "precision": "high", "numThread": threads}
        self.settings = {"threads": f"{threads} asked for; MNN does not tell", "precision": "high"}
        try:
            runtime = MNN.nn.create_runtime_manager((asked,))
            load = MNN.nn.load_module_from_file
            told = load(str(model), [], [], runtime_manager=runtime).get_info()
            self._inputs, self._outputs = list(told["inputNames"]), list(told["outputNames"])
            self._net: Any = load(str(model), self._inputs, self._outputs, runtime_manager=runtime)
        except Exception as error:  # SystemError, and whatever its extension raises
            raise InferenceFailed(f"MNN could not load it: {error.__cause__ or error}") from error
        self._runtime = runtime

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: MNN's words, or an input of a type or name that it has not.
        """
        import MNN.expr as expr

        try:
            variables = [_variable(feeds[name]) for name in self._inputs]
            made = self._net.forward(variables)
            values = [np.array(expr.convert(one, expr.NCHW).read(), copy=True) for one in made]
        except KeyError as error:
            raise InferenceFailed(f"MNN does not take the inputs: {error}") from error
        except Exception as error:
            raise InferenceFailed(f"MNN could not run it: {error.__cause__ or error}") from error
        if len(values) != len(self._outputs):
            raise InferenceFailed(f"MNN gave {len(values)} outputs of {len(self._outputs)}.")
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        """Free the module."""
        self._net = self._runtime = None


def _variable(value: np.ndarray[Any, Any]) -> Any:
    import MNN.expr as expr

    kinds = {"float32": expr.float, "int32": expr.int, "uint8": expr.uint8}
    kind = kinds[str(value.dtype)]
    return expr.const(np.ascontiguousarray(value), list(value.shape), expr.NCHW, kind)


class Mnn:
    """CPU build of the wheel."""

    label = "MNN"
    precisions = ("f32",)
    remedy = "pip install -r requirements/mnn.txt"
    accepts: tuple[str, ...] = ("mnn",)
    about = "Alibaba's runtime for phones, boards and PCs."
    arithmetic = "f32; files with fp16 or int8 weights compute in f32"
    facts = BackendFacts(
        "#8c6d1f",
        place=55,
        int8_does="QDQ files are refused; weights stored in 8 bits compute in float.",
        package=Package("MNN", 59_000_000, "BSD-3-Clause"),
    )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("MNN", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> MnnSession:
        """A module on the CPU.

        Raises:
            InferenceFailed: MNN does not take the file.
        """
        return MnnSession(artifact, options)


BACKEND = Mnn()
