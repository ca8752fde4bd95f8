"""Backends: what is here, what one command brings, what needs a device; and this machine."""

from __future__ import annotations

import streamlit as st

from core.records import Host
from core.workspace.facts import elsewhere, int8_outlook
from pages.backends import wall
from pages.shared import formatting, glossary, session

GROUPS = (
    ("Here", "Installed, and measured on this machine."),
    ("One command away", "It runs in the environment of Lathe, which is then started again."),
    ("Needs a device", "Files are made for these; nothing here can time them."),
)


def show() -> None:
    """Backends in three groups, and the machine."""
    workspace = session.workspace()
    infos = workspace.runs.backends()
    st.title("Backends")
    here = [info for info in infos if not info.reason]
    missing = [info for info in infos if info.reason]
    for (name, about), group in zip(GROUPS, (here, missing, elsewhere()), strict=True):
        if group:
            st.header(f"{name} ({len(group)})")
            st.caption(about)
            st.html(wall.markup(group))
    machine(workspace.runs.host())
    glossary.show()


def machine(host: Host) -> None:
    """The processor, what it can do for int8, and every version that the numbers depend on."""
    st.header("This machine")
    st.markdown(
        f"**{formatting.plain(host.cpu)}** · {host.cores} cores · {formatting.plain(host.os)}"
    )
    st.info(formatting.plain(int8_outlook(host)))
    sets = ", ".join(host.isa_flags) or "none that matter here"
    st.caption(f"Instruction sets: {formatting.plain(sets)}")
    if host.versions:
        st.dataframe(
            [{"package": name, "version": version} for name, version in host.versions.items()],
            hide_index=True,
            width="content",
            alt="Versions that the numbers depend on",
        )


show()
