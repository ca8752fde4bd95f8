"""The frame: page configuration, who is visiting, and the navigation over the screens."""

import streamlit as st

from pages.widgets import session

st.set_page_config(page_title="Lathe", page_icon="static/lathe.png", layout="wide")
session.begin()

SCREENS = [
    st.Page("pages/screens/optimize.py", title="Optimize", default=True),
    st.Page("pages/screens/explore.py", title="Explore"),
    st.Page("pages/screens/model.py", title="Model"),
    st.Page("pages/screens/backends.py", title="Backends"),
    st.Page("pages/screens/runs.py", title="Runs"),
]

st.navigation(SCREENS, position="top").run()
