"""Import doctor: before any work, what becomes of a model on every target, and what would help."""

from core.runs.doctor.diagnoses import Diagnoses, Question, Told
from core.runs.doctor.treatment import FREEZE, labels, steps

__all__ = ["FREEZE", "Diagnoses", "Question", "Told", "labels", "steps"]
