"""Free memory is read from the machine and from every control group around the process."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from core.devices.local import memory

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroups.mkdir()
    (proc / "meminfo").write_text("MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n")
    return proc, cgroups


def test_without_groups_it_is_what_the_machine_has(machine: tuple[Path, Path]) -> None:
    assert memory.free_bytes(*machine) == 16 * GIB


def test_the_tightest_group_of_version_2_decides(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("0::/outer/inner\n")
    inner = cgroups / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text(f"{3 * GIB}\n")
    (inner.parent / "memory.current").write_text(f"{2 * GIB}\n")
    (inner.parent / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\n")
    assert memory.free_bytes(proc, cgroups) == 2 * GIB


def test_pages_of_files_are_given_back(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("5:memory:/a\n")
    group = cgroups / "memory" / "a"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{4 * GIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{3 * GIB}\n")
    inner = f"total_inactive_file {GIB}\ntotal_active_file {GIB}\n"
    (group / "memory.stat").write_text(f"inactive_file 0\nactive_file 0\n{inner}")
    assert memory.free_bytes(proc, cgroups) == 3 * GIB


def test_groups_of_version_1_are_read(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("7:cpu,cpuacct:/a\n5:memory:/a\n")
    group = cgroups / "memory" / "a"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{GIB}\n")
    (group.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.free_bytes(proc, cgroups) == GIB


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 * GIB), ("1.5g", 3 * GIB // 2), ("512MiB", GIB // 2), ("4096", 4096)],
)
def test_a_size_set_by_hand_decides(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    assert memory.free_bytes(*machine) == size


@pytest.mark.parametrize("text", ["", "much", "-3G", "1e999G"])
def test_what_is_no_size_is_not_taken_for_one(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    assert memory.free_bytes(*machine) == 16 * GIB


def test_a_limited_process_may_take_what_its_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "100G")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200 * GIB, 200 * GIB))
    assert memory.budget_bytes() == 100 * GIB
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50 * GIB, 50 * GIB))
    assert 40 * GIB < memory.budget_bytes() < 50 * GIB


def test_new_work_leaves_a_reserve(machine: tuple[Path, Path]) -> None:
    assert 15 * GIB <= memory.share_bytes(*machine) < 16 * GIB


def test_what_is_set_by_hand_is_not_cut(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(memory.VARIABLE, "2G")
    assert memory.share_bytes(*machine) == 2 * GIB


def test_a_full_group_is_short_whatever_the_machine_has(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    assert not memory.is_short(*machine)
    (proc / "self" / "cgroup").write_text("0::/pod\n")
    (cgroups / "pod").mkdir()
    (cgroups / "pod" / "memory.max").write_text(f"{2 * GIB}\n")
    (cgroups / "pod" / "memory.current").write_text(f"{2 * GIB - 1}\n")
    assert memory.is_short(*machine)


def test_a_group_of_2_gb_is_the_limit_of_a_child(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("0::/pod\n")
    (proc / "7").mkdir()
    (proc / "7" / "status").write_text("Name:\tpython\nRssAnon:\t  102400 kB\n")
    (cgroups / "pod").mkdir()
    (cgroups / "pod" / "memory.max").write_text(f"{2 * GIB}\n")
    (cgroups / "pod" / "memory.current").write_text(f"{GIB // 4}\n")
    most = memory.limit_bytes(7, proc, cgroups)
    assert GIB < most < 2 * GIB


def test_what_a_process_holds_is_known() -> None:
    own = memory.resident_bytes("self")
    kept = bytearray(64 << 20)
    assert memory.resident_bytes("self") - own >= len(kept) * 0.9
    del kept
    assert memory.resident_bytes("0") == 0
