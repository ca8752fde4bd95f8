"""Backends: what is here, what is missing and how to get it, and what this machine can do."""

from __future__ import annotations

import streamlit as st

from core.charts import palette
from core.records import BackendInfo, Host
from core.workspace.facts import int8_outlook
from pages.shared import formatting, glossary, session

TITLE = """
<h3 style="margin:0;padding:0;font-size:1.1rem">
  <span aria-hidden="true" style="display:inline-block;width:.8rem;height:.8rem;border-radius:2px;
    background:{}"></span> {} <small style="font-weight:400">{}</small>
</h3>
"""


def show() -> None:
    """Usable backends, missing ones with their command, and the machine."""
    workspace = session.workspace()
    infos = workspace.runs.backends()
    st.title("Backends")
    here = [info for info in infos if not info.reason]
    missing = [info for info in infos if info.reason]
    st.header(f"Installed ({len(here)})")
    for row in range(0, len(here), 3):
        for column, info in zip(st.columns(3), here[row : row + 3], strict=False):
            with column:
                card(info)
    if missing:
        st.header(f"Not installed ({len(missing)})")
        for info in missing:
            absent(info)
    machine(workspace.runs.host())
    glossary.show()


def card(info: BackendInfo) -> None:
    """One usable backend, under the colour that it has in every chart."""
    with st.container(border=True, height="stretch"):
        words = (palette.color(info.name), info.label, info.version)
        st.html(TITLE.format(*map(formatting.escape, words)))
        st.markdown(formatting.plain(info.about))
        st.caption(
            f"Device: {formatting.plain(info.device or 'CPU')} · "
            f"arithmetic: {formatting.plain(', '.join(info.precisions))} · "
            f"name on the command line: {formatting.plain(info.name)}"
        )


def absent(info: BackendInfo) -> None:
    """One backend that is not here, why, and the command that brings it."""
    with st.container(border=True):
        st.markdown(f"**{formatting.plain(info.label)}** · {formatting.plain(info.about)}")
        st.caption(formatting.plain(info.reason))
        if info.remedy:
            st.code(info.remedy, language=None)


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
