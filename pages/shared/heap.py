"""The heap: garbage is collected now and then, and never among what was imported.

Streamlit would collect in full after each run of a script, with all threads waiting: 0.1 to 0.3 s
over everything that is imported here, more than a moved slider takes otherwise. That is switched
off (`runner.postScriptGC`); what an upload leaves behind goes within half a minute.
"""

from __future__ import annotations

import gc
import time

import streamlit as st

EVERY_S = 30.0

_collected_s = [time.monotonic()]


@st.cache_resource(show_spinner=False)
def settle(screen: str) -> None:
    """Once for each screen, after its first run: what is there by now is no garbage, ever.

    Args:
        screen: which one; its first run imports what it needs.
    """
    gc.collect()
    gc.freeze()


def tidy() -> None:
    """Collect, if it is time."""
    if time.monotonic() - _collected_s[-1] > EVERY_S:
        _collected_s[:] = [time.monotonic()]
        gc.collect()
