"""One measurement at a time on a host, whichever process it is in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.devices.local import lock

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys
from core.devices.local import lock
with getattr(lock, sys.argv[1])():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(kind: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is let go."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


class GiveUpError(Exception):
    """What a check raises in these tests."""


def test_who_waits_knows_it_and_nobody_else_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[bool] = []

    def check() -> None:
        seen.append(lock.is_waiting())
        raise GiveUpError

    assert not lock.is_waiting()
    with holder("alone", tmp_path), pytest.raises(GiveUpError), lock.alone(check):
        pass
    assert seen == [True]
    assert not lock.is_waiting()
    with lock.alone():
        assert not lock.is_waiting()


def waits(kind: str, turns: int = 3) -> bool:
    """Whether taking the lock in this process has to wait."""
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) == turns:
            raise GiveUpError

    try:
        with getattr(lock, kind)(check):
            return False
    except GiveUpError:
        return True


@pytest.mark.parametrize(
    ("held", "asked", "waiting"),
    [("alone", "alone", True), ("alone", "shared", True), ("shared", "alone", True),
     ("shared", "shared", False)],
)  # fmt: skip
def test_two_processes(held: str, asked: str, waiting: bool, own_lock: Path):
    assert not waits(asked)
    with holder(held, own_lock.parent):
        assert waits(asked) is waiting
    assert not waits(asked)


def test_the_lock_dies_with_its_holder(own_lock: Path):
    with holder("alone", own_lock.parent) as process:
        assert waits("alone")
        process.kill()
        process.wait()
        assert not waits("alone")


def test_who_waits_gets_it_when_it_is_free(own_lock: Path):
    with holder("alone", own_lock.parent) as process:
        asked: list[int] = []

        def check() -> None:
            asked.append(1)
            process.stdin.close()

        with lock.alone(check):
            assert asked


def test_who_shares_does_not_overtake_who_waits_to_be_alone(own_lock: Path):
    def waiter() -> None:
        with pytest.raises(GiveUpError), lock.alone(check):
            pass

    standing, leave = threading.Event(), threading.Event()

    def check() -> None:
        standing.set()
        if leave.is_set():
            raise GiveUpError

    with holder("shared", own_lock.parent):
        assert not waits("shared")
        thread = threading.Thread(target=waiter)
        thread.start()
        assert standing.wait(30)
        assert waits("shared")
        leave.set()
        thread.join()
        assert not waits("shared")


def test_it_is_released_after_an_error():
    with pytest.raises(ZeroDivisionError), lock.alone():
        raise ZeroDivisionError
    assert not waits("alone")


def test_another_users_file_is_enough(own_lock: Path):
    own_lock.touch()
    own_lock.chmod(0o444)
    assert not waits("alone")


def test_the_lock_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.undo()
    assert lock.path().name == "lathe-measure.lock"


def test_who_shares_may_be_alone_for_a_while(own_lock: Path):
    with lock.shared() as share:
        with share.alone():
            assert waits("shared")
        assert not waits("shared")
        assert waits("alone")
    assert not waits("alone")


def test_two_who_share_are_alone_one_after_the_other():
    inside, most = [], []

    def both() -> None:
        with lock.shared() as share, share.alone():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.2)
            inside.pop()

    threads = [threading.Thread(target=both) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1, 1]
