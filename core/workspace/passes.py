"""The catalogue of passes as forms and commands are made of it: labels, help and parameters."""

from core.passes.base import Parameter, Pass, build, catalogue, not_applied, parameters

__all__ = ["Parameter", "Pass", "build", "catalogue", "not_applied", "parameters"]
