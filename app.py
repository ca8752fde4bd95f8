"""The frame: page configuration, who is visiting, and the navigation over the screens."""

from pathlib import Path

import streamlit as st

from pages.widgets import session

STATIC = Path(__file__).with_name("static")

st.set_page_config(page_title="Lathe", page_icon=str(STATIC / "lathe.png"), layout="wide")
st.html(STATIC / "lathe.css")
session.begin()

SCREENS = [
    st.Page("pages/screens/optimize.py", title="Optimize", default=True),
    st.Page("pages/screens/explore.py", title="Explore"),
    st.Page("pages/screens/model.py", title="Model"),
    st.Page("pages/screens/backends.py", title="Backends"),
    st.Page("pages/screens/runs.py", title="Runs"),
]

st.navigation(SCREENS, position="top").run()
