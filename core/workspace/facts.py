"""Facts that words are made of: metrics with units, labels of backends, what int8 can gain."""

from core.backends.base import label, opening, reference
from core.measure import METRICS, Setting, int8_outlook

__all__ = ["METRICS", "check_backend", "int8_outlook", "label", "opening", "reference"]


def check_backend(spec: str) -> None:
    """See that there is such a backend, and that it has the precision.

    Args:
        spec: "backend" or "backend:precision".

    Raises:
        BackendUnavailable: there is not, or it has not.
    """
    Setting.of(spec)
