"""What passes learn from running a model: activations, and which of several graphs is faster."""

from core.calibration.image_statistics import Alone, Calibration
from core.calibration.no_data import Unseen
from core.calibration.ort_runner import Probe

__all__ = ["Alone", "Calibration", "Probe", "Unseen"]
