"""Scratch folders: those of dead processes are swept, nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.devices.local import Child, Limits, lock, scratch
from core.devices.local.limits import GIB
from core.devices.local.scratch import HELD, Scratch

ROOT = Path(__file__).parents[3]
HOLDER = (
    "from core.devices.local.scratch import Scratch; import time\n"
    "made = Scratch(); print(made.path, flush=True); time.sleep(600)"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_goes_when_it_is_closed(temporary: Path):
    with Scratch() as folder:
        (folder / "inner").mkdir()
        assert folder.parent == temporary
        assert folder.name.startswith("lathe-")
    assert not folder.exists()


def test_only_folders_of_dead_processes_are_swept(temporary: Path):
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        theirs = Path(holder.stdout.readline().strip())
        (theirs / "large").write_bytes(b"x")
        strange = temporary / "lathe-of-somebody"
        strange.mkdir()
        with Scratch() as mine:
            assert scratch.sweep() == 0
            assert theirs.exists()
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert scratch.sweep() == 1
            assert not theirs.exists()
            assert mine.exists()
            assert strange.exists()  # no lock inside: not one of ours


def test_a_lock_that_is_a_link_is_left_alone(temporary: Path):
    other = temporary / "other"
    other.write_text("")
    folder = temporary / "lathe-trap"
    folder.mkdir()
    (folder / HELD).symlink_to(other)
    assert scratch.sweep() == 0
    assert folder.exists()


def test_what_a_child_leaves_in_its_temporary_directory_goes_with_it():
    with Child("tests.devices.local.naughty", Limits(GIB, 20.0)) as child:
        place = child.request("temporary", {})
        assert Path(place["tempdir"]) == Path(place["cwd"])
        # The lock of the host stays where everybody looks for it.
        assert Path(place["lock"]).name == lock.NAME
        assert Path(place["lock"]).parent != Path(place["cwd"])
    assert not Path(place["cwd"]).exists()
