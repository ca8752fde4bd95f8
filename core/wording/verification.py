"""Sentences of the verification of a rewritten graph."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "verify.loaded_alone": "Verified by loading, not by a run: {why}",
    "verify.no_input": "no input could be made up.",
    "verify.no_load": "ONNX Runtime does not load the original ({error}).",
    "verify.no_run": "the original does not run on made-up inputs ({error}).",
    "verify.not": "Not verified by a run: {why}",
}
