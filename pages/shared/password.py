"""Password: one for all visitors of a server that others can reach, set by LATHE_PASSWORD."""

from __future__ import annotations

import hmac
import os
import time

import streamlit as st

from pages.shared.state import visit

VARIABLE = "LATHE_PASSWORD"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
WRONG_S = 1.0  # a guess costs this long
WARNING = (
    "Lathe listens on {address}: everybody who reaches it can upload models and run them here. "
    f"Set {VARIABLE} to ask visitors for a password, or put a login in front."
)


def warning(address: str) -> str:
    """What whoever starts a server on this address must know; empty on a local one."""
    return "" if address in LOCAL or os.environ.get(VARIABLE) else WARNING.format(address=address)


def key(*words: str) -> str:
    """What proves that an address was given out by a page; without a password it proves nothing."""
    secret = os.environ.get(VARIABLE, "").encode()
    return hmac.new(secret, "/".join(words).encode(), "sha256").hexdigest()


def ask() -> bool:
    """Whether the visitor may come in; asks, once a session, where a password is set."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted or visit.admitted.get():
        return True
    st.title("Lathe")
    with st.form("password", width=420):
        given = st.text_input("Password of this server", type="password")
        sent = st.form_submit_button("Enter", type="primary")
    if sent and hmac.compare_digest(given.encode(), wanted.encode()):
        visit.admitted.set(True)
        st.rerun()
    if sent:
        time.sleep(WRONG_S)
        st.error("That is not the password.")
    return False
