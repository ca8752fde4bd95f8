"""The result image: one recipe's card to copy, to save as PNG or SVG, and to embed."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from core.charts.card import Card, card
from core.charts.card_file import card_file, written
from core.charts.card_picture import FORMATS, Form, Look, card_svg, picture
from core.charts.text import escape
from core.records import Outcome, Run
from pages.shared import component, downloads
from pages.shared.state import panels

_HTML = """
<img alt="">
<div class="actions">
  <button type="button" class="copy">Copy image</button>
  <button type="button" class="png">Save PNG</button>
  <button type="button" class="svg">Save SVG</button>
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
        form, look = _choices()
        shown = card(run, outcome.candidate.digest, downloads.address(run))
        drawn = picture(shown, form)
        name = f"{downloads.stem(run, outcome.recipe)}_{form}{'_dark' if look == 'dark' else ''}"
        data = {
            "svg": card_svg(shown, form, look),
            "width": drawn.width,
            "height": drawn.height,
            "alt": f"Result image. {drawn.about}",
            "file": name,
        }
        component.of_files("result_card", _HTML)(data=data, key=f"card.{run.id}")
        _take_along(run, outcome, shown, f"{name}.svg", int(drawn.width))


def _choices() -> tuple[Form, Look]:
    """Form and look, as they are chosen."""
    page: Look = "dark" if st.context.theme.type == "dark" else "light"
    panels.card_look.begin(page)
    left, right = st.columns(2)
    form = left.segmented_control(
        "Form",
        list(FORMATS),
        required=True,
        default="wide",
        format_func=lambda name: f"{name} {FORMATS[name].width:.0f}×{FORMATS[name].height:.0f}",
        key=panels.card_form.key,
        persist_state="session",
    )
    look = right.segmented_control(
        "Look",
        list(get_args(Look)),
        required=True,
        key=panels.card_look.key,
        persist_state="session",
    )
    return form or "wide", look or page


def _take_along(run: Run, outcome: Outcome, shown: Card, file: str, width: int) -> None:
    """The lines that show the saved SVG elsewhere, and the card as a file to measure again."""
    digest = outcome.candidate.digest if outcome.candidate else ""
    with st.container(horizontal=True):
        with st.popover("Embed"):
            st.caption(f"Save the SVG beside your README or your slides as {file}.")
            st.markdown("Markdown")
            st.code(markdown(shown, file), language=None, wrap_lines=True)
            st.markdown("HTML")
            st.code(html(shown, file, width), language=None, wrap_lines=True)
        st.download_button(
            "Card (JSON)",
            written(card_file(run, digest, shown.link)),
            file_name=f"{downloads.stem(run, outcome.recipe)}_card.json",
            mime="application/json",
            help="Recipe, digests, conditions and every number. Under Compare it is measured "
            "again, or compared with another card; so does `python -m core card`.",
            on_click="ignore",
            key=f"card.json.{run.id}",
        )


def markdown(shown: Card, file: str) -> str:
    """A line for a README: the picture, which leads to the result."""
    alt = " ".join(f"{shown.model}: {shown.answer}".split())
    alt = "".join(f"\\{sign}" if sign in "[]\\`*_<>" else sign for sign in alt)
    return f"[![{alt}]({file})]({shown.link})" if shown.link else f"![{alt}]({file})"


def html(shown: Card, file: str, width: int) -> str:
    """The same for slides and pages."""
    image = f'<img src="{file}" width="{width}" alt="{escape(f"{shown.model}: {shown.answer}")}">'
    return f'<a href="{escape(shown.link)}">{image}</a>' if shown.link else image
