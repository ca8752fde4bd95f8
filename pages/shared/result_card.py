"""The result card: one picture of 1200 x 630 pixels, drawn in the browser, to save or to share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from core.charts.card import card
from core.records import Outcome, Run
from pages.shared import downloads

_HERE = Path(__file__).parent
_HTML = """
<canvas role="img"></canvas>
<div class="actions">
  <button type="button" class="save">Save image</button>
  <button type="button" class="copy">Copy image</button>
  <button type="button" class="share">Share …</button>
  <span class="said" role="status"></span>
</div>
"""


def show(run: Run, outcome: Outcome | None = None) -> None:
    """The card of one recipe; without one, of the run's best."""
    outcome = outcome or downloads.chosen(run)
    if outcome is None or outcome.candidate is None:
        return
    with st.expander("Result image"):
        data = {
            "card": card(run, outcome.candidate.digest),
            "file": f"{downloads.stem(run, outcome.recipe)}.png",
        }
        _component()(data=data, key=f"card.{run.id}")


@st.cache_resource
def _component() -> Any:
    return st.components.v2.component(
        "lathe_result_card",
        html=_HTML,
        css=(_HERE / "result_card.css").read_text(encoding="utf-8"),
        js=(_HERE / "result_card.js").read_text(encoding="utf-8"),
    )
