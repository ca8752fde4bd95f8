"""No task that is known here: outputs are compared with the original's as numbers, by SQNR."""

from __future__ import annotations

from core.data import Annotations
from core.errors import DataError
from core.metrics.base.outputs import Outputs
from core.records import Preprocess
from core.tasks.base import Signature, Truth


class Raw:
    """What is left over: embeddings, images, boxes in a layout that is not read here."""

    label = "outputs as numbers"
    outputs = "anything else"
    annotations = ""
    primary = "sqnr_db"
    stand_in = "sqnr_db"
    metrics = ()
    first_output_only = False

    def matches(self, signature: Signature) -> bool:
        """Anything."""
        del signature
        return True

    def decode(self, outputs: Outputs, count: int, preprocess: Preprocess | None) -> Outputs:
        """The outputs themselves."""
        del count, preprocess
        return outputs

    def truth(self, predictions: Outputs, annotations: Annotations) -> Truth:
        """There is none.

        Raises:
            DataError: always.
        """
        del predictions, annotations
        raise DataError("Outputs that are no scores, map or boxes have no annotations to meet.")


TASK = Raw()
