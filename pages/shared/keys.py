"""Where the switches of the recipe keep their values in the session."""

from __future__ import annotations


def of(pass_name: str, parameter: str = "") -> str:
    """The key of a switch or of one of its parameters."""
    return f"recipe.{pass_name}.{parameter}" if parameter else f"recipe.{pass_name}"
