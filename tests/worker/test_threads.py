"""What the kernel says of a process's threads; no time is asserted."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.worker import threads
from core.worker.threads import Queue, settle, stolen_s

LINUX = pytest.mark.skipif(not threads.TASKS.exists(), reason="no /proc on this system")


@LINUX
def test_a_thread_that_computes_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "LONGEST_S", 60.0)
    started, done = threading.Event(), threading.Event()

    def burn() -> None:
        started.set()
        hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 200_000)  # without the interpreter's lock
        done.set()

    thread = threading.Thread(target=burn)
    thread.start()
    started.wait()
    settle()
    assert done.is_set()
    thread.join()


@LINUX
def test_a_thread_that_sleeps_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "LONGEST_S", 60.0)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    settle()
    assert thread.is_alive()
    over.set()
    thread.join()


def test_a_thread_that_never_sleeps_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "_running", lambda own: True)
    monkeypatch.setattr(threads, "LONGEST_S", 0.01)
    settle()


def test_a_system_that_tells_nothing_is_waited_for_blindly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    slept: list[float] = []
    monkeypatch.setattr(threads, "TASKS", tmp_path / "nothing")
    monkeypatch.setattr(threads, "STAT", tmp_path / "nothing")
    monkeypatch.setattr(threads.time, "sleep", slept.append)
    settle()
    assert slept == [threads.BLIND_S]
    with closing(Queue()) as queue:
        assert queue.waited_ns() == 0
    assert stolen_s() == 0.0


def test_the_time_in_line_is_that_of_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, line in {"7": "900 20 3\n", "8": "100 5 1\n", "9": ""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(line)
    (tmp_path / "10").mkdir()  # a thread that has just ended
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    with closing(Queue()) as queue:
        assert queue.waited_ns() == 25
        (tmp_path / "8" / "schedstat").write_text("160 45 2\n")
        assert queue.waited_ns() == 65


def test_stolen_time_is_read_in_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1 2 3 4 5 6 7 250 0 0\n")
    monkeypatch.setattr(threads, "STAT", tmp_path / "stat")
    assert stolen_s() == 250 / os.sysconf("SC_CLK_TCK")
