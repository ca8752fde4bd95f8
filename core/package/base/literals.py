"""Texts of a model in a script: always literals, so that none of them is ever code."""

from __future__ import annotations


def literal(text: str) -> str:
    """Any text as a literal of Python, in ASCII."""
    said = ascii(text)
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said else said
