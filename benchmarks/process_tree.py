"""Run a command and count what its whole tree of processes takes: time, processor time, memory.

Memory of a tree is the sum over its processes of the proportional share (PSS: pages that several
hold are counted once), sampled; memory of one process is its high-water mark, kept by the kernel.
While a command runs, this process adopts whoever loses its parent, so that none is missed: one
command at a time, and nothing else started meanwhile. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.1
LARGEST_SHARE = 0.05  # of the time that sampling may take: reading the shares of 4 GB takes a while
GRACE_S, LAST_S = 2.0, 30.0  # a busy machine takes its time even to end a process
TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
ME = os.getpid()
ADOPT = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        status: exit status, negative for a signal; None where it was stopped for its time.
        wall_s, cpu_s: seconds; those of the processors are summed over all processes.
        together_bytes: largest memory of all processes at one time.
        largest_bytes, largest_name: the process with the highest high-water mark.
        processes: how many there were.
    """

    status: int | None
    wall_s: float
    cpu_s: float
    together_bytes: int
    largest_bytes: int
    largest_name: str
    processes: int


@dataclass
class _Seen:
    """The last that was seen of one process."""

    name: str
    peak_bytes: int = 0
    cpu_s: float = 0.0


@dataclass
class Tree:
    """The processes below (and with) `root`, as far as samples saw them."""

    root: int
    start: int = 0
    together_bytes: int = 0
    seen: dict[tuple[int, int], _Seen] = field(default_factory=dict)  # by id and start

    def sample(self) -> None:
        """Look at every process once."""
        self.together_bytes = max(self.together_bytes, sum(map(self._look, self.alive())))

    def alive(self) -> list[tuple[int, int]]:
        """Id and start of the processes of the tree, orphans among them."""
        table = dict(_table())
        self.start = self.start or table.get(self.root, (0, 0))[1]
        adopted = {p for p, (above, start) in table.items() if above == ME and start >= self.start}
        found = {self.root} | adopted
        while more := {p for p, (above, _) in table.items() if above in found} - found:
            found |= more
        return [(pid, table[pid][1]) for pid in sorted(found) if pid in table]

    def stop(self) -> None:
        """End what is left, gently and then not."""
        for how, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, LAST_S)):
            for pid, _ in self.alive():
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    continue
            end = time.monotonic() + patience
            while self._running() and time.monotonic() < end:
                time.sleep(0.05)
        for pid, _ in self.alive():
            if pid != self.root:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _running(self) -> bool:
        return any(_state(pid) not in ("Z", "") for pid, _ in self.alive())

    def _look(self, process: tuple[int, int]) -> int:
        """Remember one process; its share of memory now, in bytes (0 where it has just ended)."""
        folder = PROC / str(process[0])
        try:
            status = _fields(folder / "status")
            spent = _stat(folder)[11:13]
            share = _fields(folder / "smaps_rollup").get("Pss", "0")
            name = _name(folder)
        except OSError:
            return 0
        one = self.seen.setdefault(process, _Seen(name))
        one.name = name or one.name
        one.peak_bytes = max(one.peak_bytes, _kilobytes(status.get("VmHWM", "0")))
        one.cpu_s = sum(map(int, spent)) / TICKS
        return _kilobytes(share)


def run(
    command: Sequence[str],
    log: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Usage:
    """Run to the end, or for `timeout_s`; output goes to `log`.out and `log`.err."""
    with _adopting():
        start = time.monotonic()
        with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=folder,
            )
        tree = Tree(process.pid)
        ended = _watch(tree, start + timeout_s)
        wall = time.monotonic() - start
        if not ended:
            tree.stop()
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        tree.stop()  # whoever outlived the command
    largest = max(tree.seen.values(), key=lambda one: one.peak_bytes, default=_Seen("?"))
    return Usage(
        status=process.returncode if ended else None,
        wall_s=wall,
        cpu_s=max(spent.ru_utime + spent.ru_stime, sum(s.cpu_s for s in tree.seen.values())),
        together_bytes=tree.together_bytes,
        largest_bytes=largest.peak_bytes,
        largest_name=largest.name,
        processes=len(tree.seen),
    )


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Orphans become children of this process instead of the first one's."""
    library = ctypes.CDLL(None)
    library.prctl(ADOPT, 1)
    try:
        yield
    finally:
        library.prctl(ADOPT, 0)


def _watch(tree: Tree, end: float) -> bool:
    """Sample until the root ends; whether it did in time."""
    handle = os.pidfd_open(tree.root)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    try:
        while (now := time.monotonic()) < end:
            tree.sample()
            pause = max(INTERVAL_S, (time.monotonic() - now) / LARGEST_SHARE)
            if poll.poll(1000 * min(pause, max(0.0, end - now))):
                return True
        return False
    finally:
        os.close(handle)


def _table() -> Iterator[tuple[int, tuple[int, int]]]:
    """Id of every process, with its parent and its start in ticks."""
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = _stat(folder)
        except OSError:
            continue
        yield int(folder.name), (int(fields[1]), int(fields[19]))


def _stat(folder: Path) -> list[str]:
    """The fields of /proc/ID/stat behind the name, which may hold anything."""
    text = (folder / "stat").read_text(errors="replace")
    return text[text.rindex(")") + 2 :].split()


def _state(pid: int) -> str:
    try:
        return _stat(PROC / str(pid))[0]
    except OSError:
        return ""


def _fields(path: Path) -> dict[str, str]:
    lines = (line.split(":", 1) for line in path.read_text(errors="replace").splitlines())
    return {parts[0]: parts[1] for parts in lines if len(parts) == 2}


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _name(folder: Path) -> str:
    """The module or script that a process runs; empty for one that is just ending."""
    words = (folder / "cmdline").read_bytes().split(b"\0")
    texts = [word.decode(errors="replace") for word in words if word]
    if "-m" in texts[:-1]:
        return texts[texts.index("-m") + 1]
    return (
        next((Path(t).name for t in texts[1:] if t.endswith(".py")), Path(texts[0]).name)
        if texts
        else ""
    )
