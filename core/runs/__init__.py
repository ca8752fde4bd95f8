"""The use cases: take models and images in, preview recipes, measure them, keep every number."""

from core.runs.workspace import Workspace

__all__ = ["Workspace"]
