"""Time and memory of a command and of all that it starts."""

import os
import sys
import textwrap
import time

import pytest

from benchmarks import process_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MB = 1 << 20
HOLDS = "import time; held = bytearray(b'1') * ({} << 20); time.sleep({})"


def script(folder, text):
    path = folder / "parent.py"
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


def spawning(folder, children, size, seconds, wait=True):
    """A parent that holds little, and children that hold `size` MB each at the same time."""
    child = HOLDS.format(size, seconds)
    return script(
        folder,
        f"""
        import subprocess, sys
        found = [subprocess.Popen([sys.executable, "-c", {child!r}]) for _ in range({children})]
        {"[one.wait() for one in found]" if wait else ""}
        """,
    )


def test_memory_of_children_is_counted_together_and_alone(tmp_path):
    usage = process_tree.run(spawning(tmp_path, 2, 60, 0.8), tmp_path / "log", 30)
    assert usage.status == 0
    assert usage.processes == 3
    assert 120 * MB < usage.together_bytes < 200 * MB
    assert 60 * MB < usage.largest_bytes < 110 * MB


def test_what_this_process_holds_is_not_the_commands(tmp_path):
    held = bytearray(b"1") * (200 * MB)
    command = [sys.executable, "-c", "import time; time.sleep(0.4)"]
    usage = process_tree.run(command, tmp_path / "log", 30)
    assert len(held) > usage.largest_bytes
    assert usage.together_bytes < 60 * MB


def test_processor_time_of_children_is_counted(tmp_path):
    child = "import time\nwhile time.process_time() < 0.5: pass"
    command = script(
        tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    )
    usage = process_tree.run(command, tmp_path / "log", 30)
    assert usage.cpu_s >= 0.5


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path):
    start = time.monotonic()
    usage = process_tree.run(spawning(tmp_path, 1, 33, 60), tmp_path / "log", 1.0)
    assert usage.status is None
    assert time.monotonic() - start < 20
    assert not holders(33)


def test_what_outlives_a_command_is_ended(tmp_path):
    command = spawning(tmp_path, 1, 34, 60, wait=False)
    command[-1:] = [command[-1]]
    text = (tmp_path / "parent.py").read_text() + "\nimport time; time.sleep(0.5)\n"
    (tmp_path / "parent.py").write_text(text)
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
