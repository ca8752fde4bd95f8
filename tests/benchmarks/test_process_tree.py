"""Time and memory of a command and of all that it starts."""

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks import process_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MB = 1 << 20
HOLDS = """
import os, sys, time
held = bytearray(b"1") * ({} << 20)
os.write(1, b"ready\\n")
{}
"""
UNTIL_TOLD = "sys.stdin.read()"


def script(folder, text):
    path = folder / "parent.py"
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


def spawning(folder, children, size, then, wait=True):
    """A parent that holds little, and children that hold `size` MB each at the same time."""
    child = HOLDS.format(size, then)
    return script(
        folder,
        f"""
        import subprocess, sys
        found = [subprocess.Popen([sys.executable, "-c", {child!r}]) for _ in range({children})]
        {"[one.wait() for one in found]" if wait else ""}
        """,
    )


@contextlib.contextmanager
def running(command, ready):
    """The tree of a command that has said `ready` so many times, looked at once."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert [process.stdout.readline() for _ in range(ready)] == [b"ready\n"] * ready
        tree = process_tree.Tree(process.pid)
        tree.sample()
        try:
            yield tree
        finally:
            process.communicate(b"\n")


def test_memory_of_children_is_counted_together_and_alone(tmp_path):
    with running(spawning(tmp_path, 2, 60, UNTIL_TOLD), 2) as tree:
        assert len(tree.seen) == 3
        assert 120 * MB < tree.together_bytes < 200 * MB
        assert 60 * MB < max(one.peak_bytes for one in tree.seen.values()) < 110 * MB


def test_what_this_process_holds_is_not_the_commands(tmp_path):
    held = bytearray(b"1") * (200 * MB)
    command = [sys.executable, "-c", HOLDS.format(1, UNTIL_TOLD)]
    with running(command, 1) as tree:
        [one] = tree.seen.values()
        assert one.peak_bytes < 60 * MB < len(held)
        assert tree.together_bytes < 60 * MB


def test_a_peak_that_is_over_is_still_that_of_the_process(tmp_path):
    text = "held = bytearray(b'1') * (100 << 20); del held; print('ready', flush=True); input()"
    with running([sys.executable, "-c", text], 1) as tree:
        [one] = tree.seen.values()
        assert tree.together_bytes < 60 * MB
        assert one.peak_bytes > 100 * MB


def test_processor_time_of_children_is_counted(tmp_path):
    child = "import time\nwhile time.process_time() < 0.5: pass"
    command = script(
        tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    )
    usage = process_tree.run(command, tmp_path / "log", 30)
    assert usage.cpu_s >= 0.5


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path):
    usage = process_tree.run(spawning(tmp_path, 1, 33, "time.sleep(60)"), tmp_path / "log", 1.0)
    assert usage.status is None
    assert not holders(33)


def test_what_outlives_a_command_is_ended(tmp_path):
    command = spawning(tmp_path, 1, 34, "time.sleep(60)", wait=False)
    usage = process_tree.run(command, tmp_path / "log", 30)
    assert usage.status == 0
    assert not holders(34)


def test_output_and_exit_status_are_kept(tmp_path):
    text = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    usage = process_tree.run([sys.executable, "-c", text], tmp_path / "log", 30)
    assert usage.status == 3
    assert (tmp_path / "log.out").read_text() == "out\n"
    assert (tmp_path / "log.err").read_text() == "err\n"


def holders(size):
    """Processes that still run the child which holds so many MB."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                text = file.read()
        except OSError:
            continue
        if f"({size} << 20)".encode() in text and b"held = " in text and b"Popen" not in text:
            found.append(name)
    return found


def test_a_process_that_ends_while_it_is_looked_at_counts_nothing(tmp_path, monkeypatch):
    """Its files go one after the other; the last that is read may be gone already."""
    own = Path("/proc/self")
    (tmp_path / "7").mkdir()
    for name in ("status", "stat", "smaps_rollup"):
        (tmp_path / "7" / name).write_bytes((own / name).read_bytes())
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    tree = process_tree.Tree(7)
    assert tree._look((7, 1)) == 0
    assert not tree.seen
