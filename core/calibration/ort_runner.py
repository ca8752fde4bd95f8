"""Named tensors of a graph, computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import graph as graphs
from core.backends.base.onnx_settings import settings
from core.calibration.services import Tensors
from core.devices.local import memory
from core.errors import InferenceFailed
from core.graph import Graph
from core.records import RunOptions

MOST_COPIED = 512 << 20
COPIES = 16  # of the weights: those here, the file's bytes, the runtime's own, and ample room


def run_lean(options: Any) -> None:
    """Have a session compute on the mapped weights themselves.

    What it prepares otherwise (packed, reordered and folded weights) is a copy of most of them,
    which pays in many runs only.
    """
    import onnxruntime

    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.disable_prepacking", "1")


def _is_bearable(graph: Graph) -> bool:
    """Whether there is memory for copies of the weights: quicker than a file for each session."""
    size = graphs.weight_bytes(graph)
    return size < MOST_COPIED and COPIES * size < memory.budget_bytes()


class Probe:
    """ONNX Runtime over a copy of a graph whose outputs are the tensors asked for."""

    def __init__(
        self,
        graph: Graph,
        names: Sequence[str],
        threads: int = 0,
        as_written: bool = False,
        once: bool = False,
    ) -> None:
        """Load the copy.

        Args:
            graph: what computes them.
            names: the tensors.
            threads: 0 for all cores.
            as_written: compute QDQ in float, as the file says, not by this runtime's own kernels.
            once: it will hardly run, so a large model is not worth preparing.

        Raises:
            InferenceFailed: ONNX Runtime refuses it.
        """
        self.names = list(names)
        if not self.names:
            return
        import onnxruntime

        copy = graph.clone()
        values = {value.name: value for node in copy.graph for value in node.outputs}
        values |= {value.name: value for value in copy.graph.outputs}
        copy.graph.outputs.clear()
        copy.graph.outputs.extend(values[name] for name in self.names)
        options = settings(RunOptions(threads))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.disable_quant_qdq", "1" if as_written else "0")
        if once and graphs.is_large(graph):
            run_lean(options)
        try:
            with graphs.handed_over(copy, copied=not once and _is_bearable(copy)) as model:
                self._session = onnxruntime.InferenceSession(
                    model, options, providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # the runtime's exceptions share no base but this
            raise InferenceFailed(f"ONNX Runtime refuses the model: {error}") from None

    def run(self, feeds: Tensors) -> Tensors:
        """The values for one batch.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        if not self.names:
            return {}
        try:
            values = self._session.run(self.names, feeds)
        except Exception as error:  # as above
            raise InferenceFailed(f"ONNX Runtime failed: {error}") from None
        return dict(zip(self.names, values, strict=True))
