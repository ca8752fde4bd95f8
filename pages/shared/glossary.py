"""Glossary at the foot of a screen: the words of the app, as the manual explains them."""

from __future__ import annotations

import functools
from pathlib import Path

import streamlit as st

DOCUMENT = Path(__file__).parents[2] / "docs" / "glossary.md"


def show() -> None:
    """The manual's page, folded away; nothing where the documents were not installed."""
    if text := words():
        with st.expander("Glossary: the terms of this app"):
            st.markdown(text)


@functools.cache
def words() -> str:
    """The page without its title, its first paragraph and the marks around what is made."""
    try:
        text = DOCUMENT.read_text(encoding="utf-8")
    except OSError:
        return ""
    lines = text[text.index("\n## ") :].replace("\n## ", "\n##### ").splitlines()
    return "\n".join(line for line in lines if not line.startswith("<!--"))
