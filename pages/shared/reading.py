"""An image set being read: how far it is, how long it takes, and a button that ends it."""

from __future__ import annotations

import streamlit as st

from core.records import Json
from pages.shared import formatting
from pages.shared.state import uploads


class Reading:
    """A bar and a Cancel button; whoever clicks makes Streamlit end this run of the script.

    It does so at the next call of `st`, which `check` makes several times a second; what the call
    raises ends the child that reads.
    """

    def __init__(self, kind: str, file_id: str, name: str) -> None:
        """Lay them out, for a file of this kind."""
        self._words, self._share = "Checking the file …", 0.0
        self._bar = st.progress(0.0, text=self._words)
        st.button("Cancel", key=f"cancel.{kind}", on_click=_cancelled, args=(kind, file_id, name))

    def progress(self, message: Json) -> None:
        """Hear how many images are read, or what they wait for."""
        if "done" not in message:
            self._words = str(message["current"]).capitalize()
            self.check()
            return
        done, total = int(message["done"]), max(int(message["total"]), 1)
        self._share = min(done / total, 1.0)
        self._words = f"Reading images: {done:,} of {total:,}"
        if "eta_s" in message:
            self._words += f" · about {formatting.duration(message['eta_s'])} left"
        self.check()

    def check(self) -> None:
        """Give Streamlit the word."""
        self._bar.progress(self._share, text=self._words)


def _cancelled(kind: str, file_id: str, name: str) -> None:
    uploads.last(kind).set((file_id, name, "you cancelled it. Upload it again to go on."))
