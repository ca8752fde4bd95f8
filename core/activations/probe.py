"""Named tensors of a graph, computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

from core import graph as graphs
from core.backends.base_onnx_settings import settings
from core.errors import InferenceFailed
from core.graph import Graph
from core.passes.base import Tensors
from core.records import RunOptions


class Probe:
    """ONNX Runtime over a copy of a graph whose outputs are the tensors asked for."""

    def __init__(
        self, graph: Graph, names: Sequence[str], threads: int = 0, as_written: bool = False
    ) -> None:
        """Load the copy.

        Args:
            graph: what computes them.
            names: the tensors.
            threads: 0 for all cores.
            as_written: compute QDQ in float, as the file says, not by this runtime's own kernels.

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
        try:
            self._session = onnxruntime.InferenceSession(
                graphs.serialize(copy), options, providers=["CPUExecutionProvider"]
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
