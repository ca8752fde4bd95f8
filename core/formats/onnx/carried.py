"""Metadata that a model carries: its preprocessing is held to the same rules as a user's file.

What a stranger wrote into an upload must not reach an image as a division by zero.
"""

from __future__ import annotations

from core.data import read_preprocess
from core.errors import DataError
from core.graph import Graph
from core.graph.metadata import PREPROCESS_KEY
from core.records import parse_json


def drop_unusable(graph: Graph, notes: list[str]) -> None:
    """Leave out a preprocessing that no image can go through, and say so in `notes`."""
    text = graph.metadata_props.get(PREPROCESS_KEY)
    if text is None:
        return
    try:
        read_preprocess(parse_json(text))
    except DataError as error:
        reason = error.message
    except ValueError:
        reason = "It is not readable."
    else:
        return
    del graph.metadata_props[PREPROCESS_KEY]
    notes.append(f"The preprocessing that the model carries was left out. {reason[:200]}")
