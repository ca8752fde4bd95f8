"""The catalogue of passes as forms and commands are made of it: labels, help and parameters."""

from core.passes.base import Parameter, Pass, build, catalogue, not_applied, parameters
from core.runs.doctor import FREEZE, labels, steps

__all__ = [
    "FREEZE",
    "Parameter",
    "Pass",
    "build",
    "catalogue",
    "labels",
    "not_applied",
    "parameters",
    "steps",
]
