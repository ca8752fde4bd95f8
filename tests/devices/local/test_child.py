"""However a child ends, the parent lives, knows why, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.devices.local import Child, Limits
from core.devices.local.launch import STDERR_BYTES, ChildBug, last_words
from core.devices.local.limits import GIB
from core.devices.local.scratch import HELD
from core.errors import InferenceFailed, StoreError, WorkerCrashed, WorkerOutOfMemory, WorkerTimeout

ROOT = Path(__file__).parents[3]
LIMITS = Limits(memory_bytes=GIB, cpu_s=20.0)


@pytest.fixture
def child() -> Iterator[Child]:
    with Child("tests.devices.local.naughty", LIMITS) as running:
        yield running


def test_a_reply_comes_back_with_the_progress_before_it(child: Child):
    told: list[object] = []
    assert child.request("echo", {"a": [1, None]}, told.append) == {"a": [1, None]}
    assert told == [{"half": True}]


def test_a_large_request_and_reply_pass(child: Child):
    text = "x" * (1 << 20)
    assert child.request("echo", {"text": text})["text"] == text


@pytest.mark.parametrize(("call", "name"), [("segv", "SIGSEGV"), ("abort", "SIGABRT")])
def test_a_signal_is_named(child: Child, call: str, name: str):
    with pytest.raises(WorkerCrashed, match=name):
        child.request(call, {})
    assert not child.alive


def test_the_last_words_are_passed_on(child: Child):
    with pytest.raises(WorkerCrashed, match=r"std::out_of_range"):
        child.request("abort", {})


def test_an_exit_is_a_crash(child: Child):
    with pytest.raises(WorkerCrashed, match="exit 3"):
        child.request("leave", {})


def test_endless_work_ends_by_its_cpu_time(child: Child, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.devices.local.limits.WALL_PER_CPU", 1000.0)
    with pytest.raises(WorkerTimeout, match="CPU"):
        child.request("spin", {}, cpu_s=1.0)


def test_sleep_ends_by_the_wall_clock():
    with Child("tests.devices.local.naughty", Limits(GIB, cpu_s=0.2)) as child:
        child.request("echo", {}, cpu_s=20.0)
        with pytest.raises(WorkerTimeout, match="no reply"):
            child.request("sleep", {"s": 60})
        assert not child.alive


def test_a_child_that_ignores_the_cpu_signal_ends_by_the_wall_clock():
    with Child("tests.devices.local.naughty", Limits(GIB, cpu_s=0.2)) as child:
        child.request("echo", {}, cpu_s=20.0)
        with pytest.raises(WorkerTimeout):
            child.request("ignore_cpu_signal", {})


def test_endless_progress_ends_too():
    with Child("tests.devices.local.naughty", Limits(GIB, cpu_s=0.1)) as child:
        child.request("echo", {}, cpu_s=20.0)
        with pytest.raises(WorkerTimeout):
            child.request("flood", {})


@pytest.mark.parametrize("call", ["hog", "throw_bad_alloc"])
def test_too_much_memory_is_named(child: Child, call: str):
    with pytest.raises(WorkerOutOfMemory):
        child.request(call, {})


def test_chatter_neither_forges_a_reply_nor_fills_the_disk(child: Child):
    assert child.request("chatter", {"mib": 8}) == {"quiet": False}
    log = Path(child.request("place", {})["cwd"]) / "stderr.log"
    assert log.stat().st_size < 8 * STDERR_BYTES


@pytest.mark.parametrize(
    "text", ["nonsense", "[]", '{"other": 1}', '{"error": 1}', '{"result": 3}']
)
def test_garbage_on_the_private_pipe_is_a_crash(child: Child, text: str):
    with pytest.raises(WorkerCrashed, match="not a reply"):
        child.request("garbage", {"text": text})
    assert not child.alive


def test_a_core_error_crosses_as_itself_and_the_child_lives(child: Child):
    with pytest.raises(InferenceFailed, match="does not fit") as raised:
        child.request("refuse", {})
    assert raised.value.remedy == "Use another."
    assert child.request("echo", {}) == {}


def test_a_bug_surfaces_with_its_traceback(child: Child):
    with pytest.raises(ChildBug, match="ZeroDivisionError: mine"):
        child.request("bug", {})


def test_no_room_for_a_file_is_an_error_with_its_remedy_and_the_child_lives(child: Child):
    with pytest.raises(StoreError, match="File too large") as caught:
        child.request("fill_disk", {})
    assert "Free some space" in caught.value.remedy
    assert child.request("echo", {}) == {}


def test_what_the_child_started_ends_with_it(child: Child):
    grandchild = child.request("spawn", {})["pid"]
    child.close()
    deadline = time.monotonic() + 10
    while _runs(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(grandchild)


def test_a_check_that_raises_ends_the_child_at_once(child: Child):
    class StopError(Exception):
        pass

    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise StopError

    child.request("echo", {})
    with pytest.raises(StopError):
        child.request("sleep", {"s": 60}, check=check)
    assert not child.alive


class StopError(Exception):
    """The user asked to stop."""


@pytest.mark.parametrize("call", ["hold", "nest"])
def test_what_is_deep_in_native_code_ends_when_it_is_cancelled(child: Child, call: str):
    """Also in a child of the child, whose interpreter cannot look for its parent."""
    inside: list[int] = []
    with pytest.raises(StopError):
        child.request(call, {"s": 600}, lambda told: inside.append(told["pid"]), 0, stop_if(inside))
    assert ended(child.pid)
    assert ended(inside[0])


def test_a_parent_that_is_killed_takes_its_child_along():
    code = (
        "from core.devices.local import Child, Limits; import os\n"
        "child = Child('tests.devices.local.naughty', Limits(1 << 30, 60.0))\n"
        "child.request('hold', {'s': 600}, lambda told: print(told['pid'], flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert ended(pid)


def test_shared_memory_counts_too():
    with (
        Child("tests.devices.local.naughty", Limits(GIB // 4, cpu_s=20.0)) as child,
        pytest.raises(WorkerOutOfMemory, match="more than it may") as caught,
    ):
        child.request("share_memory", {"bytes": GIB // 2})
    assert "LATHE_MEMORY" in caught.value.remedy


def test_a_request_may_be_granted_more_memory_than_the_last(child: Child):
    with pytest.raises(WorkerOutOfMemory, match=r"0\.1 GB"):
        child.request("take", {"bytes": GIB // 2}, memory_bytes=GIB // 8)
    assert child.request("take", {"bytes": GIB // 2}, memory_bytes=GIB) == {}


def test_the_largest_child_ends_when_the_machine_runs_short(
    child: Child, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.devices.local.launch.BLAMED_BYTES", 1)
    monkeypatch.setattr("core.devices.local.memory.is_short", lambda: True)
    with pytest.raises(WorkerOutOfMemory, match="next to nothing left"):
        child.request("sleep", {"s": 60})


def stop_if(told: list[int]) -> Callable[[], None]:
    def check() -> None:
        if told:
            raise StopError

    return check


def ended(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _runs(pid)


def test_closing_twice_touches_no_descriptor_of_others(child: Child):
    child.close()
    ends = os.pipe()  # most likely with the numbers that the child's pipes had
    child.close()
    os.write(ends[1], b"x")
    assert os.read(ends[0], 1) == b"x"
    for end in ends:
        os.close(end)


def test_a_closed_child_says_so(child: Child):
    child.close()
    with pytest.raises(WorkerCrashed, match="already ended"):
        child.request("echo", {})


def test_it_runs_alone_in_an_empty_folder_with_a_clean_environment(
    child: Child, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_TOKEN", "s")
    with Child("tests.devices.local.naughty", LIMITS) as fresh:
        place = fresh.request("place", {})
        assert set(os.listdir(place["cwd"])) == {HELD, "stderr.log"}
        assert "SECRET_TOKEN" not in place["environment"]
        assert place["group"] == fresh.pid
    assert not Path(place["cwd"]).exists()


def test_last_words_are_one_printable_line(tmp_path: Path):
    (tmp_path / "stderr.log").write_bytes(b"first\n\x1b[31mred\x00\n\xff last\n")
    assert last_words(tmp_path) == "first [31mred � last"


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_folder_is_found_in_the_childs_own_and_is_not_copied(tmp_path: Path):
    folder, other = tmp_path / "one", tmp_path / "other"
    for place, content in ((folder, "1"), (other, "2")):
        place.mkdir()
        (place / "file").write_text(content)
    with Child("tests.devices.local.naughty", LIMITS) as child:
        scratch = child._scratch.path
        child.put("key", folder)
        child.put("key", folder)
        assert (scratch / "placed" / "key").readlink() == folder
        child.put("key", other)
        assert (scratch / "placed" / "key" / "file").read_text() == "2"
    assert not scratch.exists()
    assert (other / "file").exists()
    with pytest.raises(WorkerCrashed, match="already ended"):
        child.put("key", folder)
