"""Skip links: the first stops of the keyboard lead past the forms to what is pressed next.

Where a model opens by itself the focus is taken along: what had it is gone, and the keyboard would
begin anew at the top of the page.
"""

from __future__ import annotations

import streamlit as st

from pages.shared import component

# Words -> where the focus goes, the first that is there; without one lathe.css hides the link.
MEASURING = (".st-key-goal-go button:enabled", ".st-key-measure button")
LINKS = {
    "Skip to measuring": MEASURING,
    "Skip to the download": (".st-key-downloads button", ".st-key-downloads a"),
}
WAIT_MS = 5000  # for the button, which the screen draws after the links
# Of a button with a tooltip Streamlit makes two and hides one of them.
_SEEN_JS = """
const seen = places => places.flatMap(place => [...document.querySelectorAll(place)])
  .find(found => found.offsetParent);
"""
_LINKS_JS = """
export default function ({ data }) {
  let links = document.getElementById("lathe-skip");
  if (!links) {
    links = document.createElement("nav");
    links.id = "lathe-skip";
    links.setAttribute("aria-label", "Shortcuts");
    document.body.prepend(links);
  }
  links.replaceChildren(...Object.entries(data.links).map(([words, places]) => {
    const link = document.createElement("button");
    link.type = "button";
    link.textContent = words;
    link.onclick = () => seen(places)?.focus();
    return link;
  }));
}
"""
# Who has gone elsewhere by then is left there.
_LEAD_JS = """
export default function ({ data }) {
  if (window.latheLed === data.turn) return;
  window.latheLed = data.turn;
  const until = performance.now() + data.wait_ms;
  const look = () => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const found = seen(data.places);
    if (found && !found.disabled) found.focus({ preventScroll: true });
    else if (performance.now() < until) setTimeout(look, 100);
  };
  look();
}
"""


def show() -> None:
    """Put them before everything else on the page."""
    with st.container(key="skip"):
        component.unseen("skip_links", _SEEN_JS + _LINKS_JS)(
            data={"links": LINKS}, key="skip_links"
        )


def lead(turn: str) -> None:
    """Take the focus to measuring, once for each turn; not from where it is held meanwhile."""
    with st.container(key="lead"):
        data = {"places": MEASURING, "turn": turn, "wait_ms": WAIT_MS}
        component.unseen("lead", _SEEN_JS + _LEAD_JS)(data=data, key="lead_focus")
