"""What passes learn from running a model: activations, and which of several graphs is faster."""

from core.activations.calibration import Alone, Calibration
from core.activations.probe import Probe
from core.activations.unseen import Unseen

__all__ = ["Alone", "Calibration", "Probe", "Unseen"]
