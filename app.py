"""The frame: page configuration, who is visiting, the navigation, and the way to large files.

`python app.py` serves it; `streamlit run app.py` does too.
"""

import os
import sys
from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared import file_route, heap, offline, password, running, session, skip_links

STATIC = Path(__file__).with_name("static")


def frame() -> None:
    """What every screen has around it."""
    st.set_page_config(page_title="Lathe", page_icon=str(STATIC / "lathe.png"), layout="wide")
    st.html(STATIC / "lathe.css")
    st.logo(STATIC / "lathe_name.svg", size="large", icon_image=STATIC / "lathe.svg")
    if not password.ask():
        return
    session.begin()
    skip_links.show()
    screens = [
        st.Page("pages/optimize/page.py", title="Optimize", url_path="optimize", default=True),
        st.Page("pages/explore/page.py", title="Explore", url_path="explore"),
        st.Page("pages/model/page.py", title="Model", url_path="model"),
        st.Page("pages/backends/page.py", title="Backends", url_path="backends"),
        st.Page("pages/compare/page.py", title="Compare", url_path="compare"),
        st.Page("pages/runs/page.py", title="Runs", url_path="runs"),
    ]
    screen = st.navigation(screens, position="top")
    session.arrived(screen.url_path)
    running.show()
    with session.unexpected():
        screen.run()
    heap.settle(screen.url_path)
    heap.tidy()


def serve() -> None:
    """Run the server; options are those of `streamlit run`."""
    from streamlit.web import cli

    if warning := password.warning(_address(sys.argv[1:])):
        print(warning, file=sys.stderr)  # noqa: T201 - to whoever starts the server
    sys.argv = ["streamlit", "run", __file__, *sys.argv[1:]]
    cli.main()


def _address(options: list[str]) -> str:
    """Where the server will listen: by option, by environment, or as the configuration says."""
    for option in options:
        if option.startswith("--server.address="):
            return option.partition("=")[2]
    return os.environ.get("STREAMLIT_SERVER_ADDRESS", "localhost")


offline.keep()
if get_script_run_ctx(suppress_warning=True) is not None:
    frame()
elif __name__ == "__main__":
    serve()
else:  # the server asks for the application behind the screens
    # Streamlit takes a folder named pages/ for its own older kind of multipage app until a script
    # has run once: the first visitor at a deep link after a start would be told "Page not found".
    PagesManager.uses_pages_directory = False
    app = st.App(__file__, routes=file_route.routes())
