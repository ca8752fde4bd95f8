"""Skip links: the first stops of the keyboard lead past the forms to what is pressed next."""

from __future__ import annotations

import streamlit as st

from pages.shared import component

# Words -> where the focus goes. A link whose place is not on the page is left out by lathe.css.
LINKS = {
    "Skip to measuring": ".st-key-goal_go button:enabled, .st-key-measure button",
    "Skip to the download": ".st-key-downloads button, .st-key-downloads a",
}
_JS = """
export default function ({ data }) {
  let links = document.getElementById("lathe-skip");
  if (!links) {
    links = document.createElement("nav");
    links.id = "lathe-skip";
    links.setAttribute("aria-label", "Shortcuts");
    document.body.prepend(links);
  }
  links.replaceChildren(...Object.entries(data.links).map(([words, place]) => {
    const link = document.createElement("button");
    link.type = "button";
    link.textContent = words;
    link.onclick = () => document.querySelector(place)?.focus();
    return link;
  }));
}
"""


def show() -> None:
    """Put them before everything else on the page."""
    with st.container(key="skip"):
        component.unseen("skip_links", _JS)(data={"links": LINKS}, key="skip_links")
