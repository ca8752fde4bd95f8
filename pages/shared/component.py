"""Browser component: a piece of the page of our own, with its markup, its look and its script.

Each lives in a shadow tree that the style sheets of the page do not reach: what all controls share
(component.css) comes along.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


@st.cache_resource
def component(name: str, html: str, css: str, js: str) -> Any:
    """What puts the component on the page when it is called, made once.

    Args:
        name: of the component.
        html: its markup.
        css: its look, beside that of all controls.
        js: a module whose default export is called with the component and each new `data`.
    """
    shared = (_HERE / "component.css").read_text(encoding="utf-8")
    return st.components.v2.component(f"lathe_{name}", html=html, css=shared + css, js=js)


def of_files(name: str, html: str) -> Any:
    """A component whose look and script are files of its name in this folder."""
    css, js = ((_HERE / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return component(name, html, css, js)


def unseen(name: str, js: str) -> Any:
    """A component that only runs its script."""
    return component(name, "<i hidden></i>", "", js)
