"""Sentences of a model that was adapted to runtimes."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "adapt.none": "Nothing to rewrite.",
    "adapt.rewritten": "{rewrite}: {nodes} nodes.",
}
