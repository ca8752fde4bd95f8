"""A visitor without a browser: speaks to the page over its websocket, as the browser's client does.

Twenty browsers would load the machine more than the server does that they are to measure. What is
left out is the painting: 50 to 150 ms in a Chromium of its own machine.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.sync.client import ClientConnection, connect

WIDGETS = ("checkbox", "slider", "selectbox", "button")
TIMEOUT_S = 120.0
WHOLE, PART = "FINISHED_SUCCESSFULLY", "FINISHED_FRAGMENT_RUN_SUCCESSFULLY"


class Visitor:
    """One session with a cookie of its own."""

    def __init__(self, url: str) -> None:
        """Open the connection; `url` is the server's, http://HOST:PORT."""
        cookie = f"lathe_visitor={secrets.token_urlsafe(32)}"
        self._socket: ClientConnection = connect(
            url.replace("http", "ws", 1) + "/_stcore/stream",
            additional_headers={"Cookie": cookie},
            origin=url,  # type: ignore[arg-type]
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            compression=None,
        )
        self._states: dict[str, WidgetState] = {}
        self._drawn: set[str] = set()  # fragments that were drawn since the last question
        self._repeats: dict[str, tuple[float, float]] = {}
        self.widgets: dict[tuple[str, str], tuple[Any, str]] = {}

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def load(self, page: str = "") -> float:
        """Seconds until the script of a page has run."""
        return self._run(page=page)

    def open_sample(self) -> float:
        """Seconds until the sample stands open, from the first sight of a newcomer."""
        label = next(
            label for kind, label in self.widgets if kind == "button" and "sample" in label
        )
        taken = self._set(("button", label), {"trigger_value": True})
        del self._states[self.widgets["button", label][0].id]  # a click counts once
        return taken

    def switch(self, label: str, on: bool = True) -> float:
        """Seconds until the page has taken a checkbox or a toggle in."""
        return self._set(("checkbox", label), {"bool_value": on})

    def slide(self, label: str, value: float) -> float:
        """Seconds until the page has taken a slider's new value in."""
        element, _ = self.widgets["slider", label]
        span = element.max - element.min
        stop = element.min + round((value * span) / element.step) * element.step
        return self._set(("slider", label), {"double_array_value": {"data": [stop]}})

    def wait(self, seconds: float) -> None:
        """Look at the page: fragments that ask to be run again and again are."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for fragment, (due, every_s) in self._repeats.items():
                if due <= now:
                    self._repeats[fragment] = (now + every_s, every_s)
                    self._ask(fragment=fragment, is_auto_rerun=True)
            soon = min((due for due, _ in self._repeats.values()), default=until)
            with contextlib.suppress(TimeoutError):
                self._hear(max(0.001, min(soon, until) - now))

    def _set(self, widget: tuple[str, str], value: Mapping[str, Any]) -> float:
        element, fragment = self.widgets[widget]
        self._states[element.id] = WidgetState(id=element.id, **value)
        return self._run(fragment=fragment)

    def _run(self, page: str = "", fragment: str = "") -> float:
        """Ask for a run of the script, or of a fragment of it, and wait until it has ended."""
        if not fragment:
            self._repeats.clear()
        begun = time.perf_counter()
        self._drawn.clear()
        self._ask(page, fragment)
        while True:
            ended = self._hear(TIMEOUT_S)
            if ended == WHOLE or (ended == PART and fragment in self._drawn):
                return time.perf_counter() - begun

    def _ask(self, page: str = "", fragment: str = "", is_auto_rerun: bool = False) -> None:
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = is_auto_rerun
        message.rerun_script.widget_states.CopyFrom(WidgetStates(widgets=self._states.values()))
        self._socket.send(message.SerializeToString())

    def _hear(self, timeout_s: float) -> str:
        """Take one message in; what ended with it: WHOLE, PART or nothing.

        Raises:
            TimeoutError: none came.
        """
        heard = ForwardMsg.FromString(self._socket.recv(timeout_s))  # type: ignore[arg-type]
        kind = heard.WhichOneof("type")
        if kind == "delta":
            self._drawn.add(heard.delta.fragment_id)
            self._learn(heard)
        elif kind == "auto_rerun":
            every_s = heard.auto_rerun.interval
            self._repeats[heard.auto_rerun.fragment_id] = (time.monotonic() + every_s, every_s)
        elif kind == "script_finished":
            return ForwardMsg.ScriptFinishedStatus.Name(heard.script_finished)
        return ""

    def _learn(self, heard: ForwardMsg) -> None:
        """Remember widgets by kind and label, with the fragment that they belong to."""
        element = heard.delta.new_element
        kind = element.WhichOneof("type")
        if kind in WIDGETS:
            made = getattr(element, kind)
            self.widgets[kind, made.label] = (made, heard.delta.fragment_id)
