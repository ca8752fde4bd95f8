"""Who is visiting, the handle on the core, and what screens hand to each other.

A visitor is a random token in a cookie. The core sees its SHA-256 only, so nothing that is stored
or shared lets somebody else pose as the owner.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
from collections.abc import Iterator

import streamlit as st

from core.errors import CoreError
from core.records import Recipe, Run
from core.workspace import Workspace
from pages.shared import component, formatting
from pages.shared.field import Linked
from pages.shared.state import visit

_log = logging.getLogger(__name__)
UNEXPECTED = (
    "This screen failed for a reason that Lathe did not expect. Reload the page. What was measured "
    "is kept, and runs go on. If it fails again, the log of the server says why."
)
COOKIE = "lathe_visitor"
OPTIMIZE = "pages/optimize/page.py"
MODEL = "pages/model/page.py"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")
_KEEP_COOKIE_JS = """
export default function ({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.token}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}
"""


def begin() -> None:
    """Give a newcomer's browser the cookie, so that it is known for a year."""
    token = _token()
    if cookie() != token:
        with st.container(key="cookie"):
            keep = component.unseen("cookie", _KEEP_COOKIE_JS)
            keep(data={"name": COOKIE, "token": token}, key="visitor_cookie")


def cookie() -> str:
    """The token that the browser sent when it connected."""
    return str(st.context.cookies.get(COOKIE) or "")


def _token() -> str:
    if not visit.token.is_set():
        token = cookie()
        known = _TOKEN.fullmatch(token)
        visit.token.set(token if known else secrets.token_urlsafe(32))
    return visit.token.get()


def owner() -> str:
    """The name under which the core keeps this visitor's uploads and runs."""
    return hashlib.sha256(_token().encode()).hexdigest()[:32]


@st.cache_resource
def workspace() -> Workspace:
    """The one handle on the core that all sessions of this server share."""
    return Workspace.open()


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Turn an error that a person should read into a line on the screen; the page lives on."""
    try:
        yield
    except CoreError as error:
        st.error(formatting.plain(f"{error.message} {error.remedy}".strip()))


@contextlib.contextmanager
def unexpected() -> Iterator[None]:
    """Log what should not have happened, and say what to do; the frame lives on."""
    try:
        yield
    except Exception:
        _log.exception("a screen failed")
        st.error(UNEXPECTED)


def open_recipe(run: Run, recipe: Recipe) -> None:
    """Go to Optimize with a recipe of a run, and what that run measured of it."""
    visit.sent.set((run, recipe))
    st.switch_page(OPTIMIZE, query_params={visit.run.parameter: run.id})


def current_run() -> Run | None:
    """The run of the address, or the one that was looked at last; None if there is none."""
    run_id = asked_for(visit.run)
    if not run_id:
        return None
    try:
        run = workspace().runs.get(run_id)
    except CoreError as error:
        visit.run.leave()
        visit.notice.set(error.message)
        return None
    visit.run.set(run.id)
    return run


def asked_for(kept: Linked) -> str:
    """The id of the run of the address, else of the one that the session keeps.

    The address is written when a run is started or opened, never on the way back to a screen: each
    writing is one more step for the browser's Back. Back from a run's address leaves the run.
    """
    given, before = kept.given(), visit.address.get()
    if not given and before and before == kept.get():
        kept.clear()
    visit.address.set(given)
    return given or kept.get()


def arrived(screen: str) -> None:
    """Note which screen is shown: who comes from another one has not gone back from a run."""
    if visit.screen.get() != screen:
        visit.screen.set(screen)
        visit.address.clear()
