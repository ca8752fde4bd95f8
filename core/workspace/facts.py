"""Facts that words are made of: metrics with units, tasks, labels of backends, what int8 gains."""

from core.backends.base import label, opening, reference
from core.calibration.targets import elsewhere
from core.devices.base import device as check_device
from core.measure import METRICS, Setting, int8_outlook
from core.metrics.base import DELTA, catalogue, definitions, ordered
from core.tasks.base import Signature, primary_metric, task_of, unmet_by

__all__ = [
    "DELTA",
    "METRICS",
    "Signature",
    "catalogue",
    "check_backend",
    "check_device",
    "definitions",
    "elsewhere",
    "int8_outlook",
    "label",
    "opening",
    "ordered",
    "primary_metric",
    "reference",
    "task_of",
    "unmet_by",
]


def check_backend(spec: str) -> None:
    """See that there is such a backend, and that it has the precision.

    Args:
        spec: "backend" or "backend:precision".

    Raises:
        BackendUnavailable: there is not, or it has not.
    """
    Setting.of(spec)
