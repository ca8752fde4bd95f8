"""Nothing leaves the machine: no name is looked up and nothing outside connected to."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.browser.server import ROOT, free_port, wait_until_healthy

# Runs in the server before anything else: writes down who is asked for or spoken to.
WATCH = """
import os, sys
def watch(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {args!r}\\n")
sys.addaudithook(watch)
"""
OWN = ("localhost", "127.0.0.1", "0.0.0.0", "::1", "192.0.2.1", "None", "AF_UNIX", "/")


@pytest.mark.parametrize("address", ["0.0.0.0", "localhost"])
def test_a_start_and_a_foreign_origin_ask_nobody_outside(tmp_path: Path, address: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    watched, port = tmp_path / "watched.txt", free_port()
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path), "WATCHED": str(watched), "LATHE_HOME": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "app.py", f"--server.port={port}", f"--server.address={address}"]
    log = tmp_path / "server.log"
    with log.open("ab") as out:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/_stcore/stream", headers={
            "Origin": "http://elsewhere.example", "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        })  # fmt: skip
        assert connection.getresponse().status == 403
        time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(20)
    lines = watched.read_text().splitlines() if watched.exists() else []
    assert lines, "the watch did not run"
    outside = [line for line in lines if not any(name in line for name in OWN)]
    assert not outside
    warned = "everybody who reaches it can upload models" in log.read_text()
    assert warned == (address == "0.0.0.0")
