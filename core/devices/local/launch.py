"""The parent's side: start a limited child, ask it, wait no longer than agreed, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.devices.local import isa, memory, wire
from core.devices.local.limits import Limits
from core.devices.local.scratch import Scratch
from core.errors import (
    MORE_MEMORY,
    WorkerCrashed,
    WorkerOutOfMemory,
    WorkerTimeout,
    from_code,
    says_out_of_memory,
)
from core.records import Json, to_json

ROOT = Path(__file__).resolve().parents[3]
GRACE_S = 2.0
READ_SIZE = 1 << 16
POLL_S = 0.2
STDERR = "stderr.log"
PLACED = "placed"  # the folder of a child that holds what it was given
STDERR_BYTES = 1 << 20
MESSAGE_BYTES = 256 << 20
LAST_WORDS = 400
BLAMED_BYTES = 512 << 20  # a child that holds less is not the one to end when memory runs short
Check = Callable[[], None]


class ChildBug(RuntimeError):
    """The child raised something that is not a CoreError; its traceback is the message."""


class Child:
    """A child process running `python -m MODULE`, in its own process group and empty directory.

    Not thread-safe: one request at a time.
    """

    def __init__(self, module: str, limits: Limits, environment: Json | None = None) -> None:
        """Start the child; it answers its first request as soon as its imports are done."""
        self.module, self.limits = module, limits
        self._scratch = Scratch()
        # Vendors explain themselves on stderr; a pipe that no one reads would block them.
        self._stderr = (self._scratch.path / STDERR).open("ab")
        child_in, self._requests = os.pipe()
        self._replies, child_out = os.pipe()
        child_line, self._lifeline = os.pipe()
        ends = (child_in, child_out, child_line)
        command = [sys.executable, "-P", "-m", module, *map(str, ends)]
        self._process = subprocess.Popen(
            [*command, json.dumps(to_json(limits))],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            cwd=self._scratch.path,
            env=_clean_environment() | (environment or {}),
            start_new_session=True,
        )
        for end in ends:
            os.close(end)
        self._buffer = b""
        self._closed = False
        self._memory_bytes = limits.memory_bytes

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id, for reading its memory."""
        return self._process.pid

    def put(self, key: str, folder: Path) -> None:
        """Let the child find a folder of this machine in its own, as PLACED/KEY, uncopied.

        Raises:
            WorkerCrashed: the child has ended.
        """
        if self._closed:
            raise WorkerCrashed(f"{self.module} has already ended.")
        link = self._scratch.path / PLACED / key
        link.parent.mkdir(exist_ok=True)
        target = folder.absolute()
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    def request(
        self,
        call: str,
        args: Json,
        progress: wire.Progress | None = None,
        cpu_s: float = 0.0,
        check: Check | None = None,
        memory_bytes: int = 0,
    ) -> Json:
        """Ask the child and wait for its result; after any WorkerError the child is gone.

        Args:
            call: name of the handler.
            args: plain JSON.
            progress: called with each progress message on the way.
            cpu_s: CPU seconds for this request; 0 means the child's limit.
            check: called several times a second; what it (or `progress`) raises ends the child.
            memory_bytes: that the child may hold in all; 0 means its limit.

        Raises:
            WorkerCrashed, WorkerTimeout, WorkerOutOfMemory: the child ended.
            CoreError: whatever the handler raised.
            ChildBug: the handler raised something else.
        """
        budget = cpu_s or self.limits.cpu_s
        deadline = time.monotonic() + budget * (self.limits.wall_s / self.limits.cpu_s)
        self._memory_bytes = memory_bytes or self.limits.memory_bytes
        asked = {"call": call, "args": args, "cpu_s": budget}
        self._send(asked | {"memory_bytes": self._memory_bytes})
        try:
            reply = self._read_message(deadline, check)
            while "progress" in reply:
                if progress:
                    progress(reply["progress"])
                reply = self._read_message(deadline, check)
        except BaseException:
            self.close()  # it is in the middle of something that nobody waits for any more
            raise
        return self._result(reply)

    def close(self) -> None:
        """End the child and everything it started."""
        if self._closed:  # its process id and descriptors may belong to others by now
            return
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()  # children of its own, in groups of their own, hang on its lifelines
        self._stderr.close()
        for descriptor in (self._requests, self._replies, self._lifeline):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._scratch.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, message: Json) -> None:
        if self._closed:
            raise WorkerCrashed(f"{self.module} has already ended.")
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._requests, data) :]
        except BrokenPipeError:
            raise self._obituary() from None

    def _read_message(self, deadline: float, check: Check | None) -> Json:
        while b"\n" not in self._buffer:
            self._wait(deadline, check)
            chunk = os.read(self._replies, READ_SIZE)
            if not chunk:
                raise self._obituary()
            self._buffer += chunk
            if len(self._buffer) > MESSAGE_BYTES:
                raise WorkerCrashed(f"{self.module} sent more than a reply can hold.")
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            return wire.decode(line)
        except ValueError:
            raise WorkerCrashed(f"{self.module} sent something that is not a reply.") from None

    def _wait(self, deadline: float, check: Check | None) -> None:
        """Until there is something to read."""
        while True:
            if time.monotonic() > deadline:
                raise WorkerTimeout(f"{self.module} gave no reply in the time it had.")
            if check:
                check()
            self._watch_memory()
            if os.fstat(self._stderr.fileno()).st_size > STDERR_BYTES:
                os.ftruncate(self._stderr.fileno(), 0)
            if select.select([self._replies], [], [], POLL_S)[0]:
                return

    def _watch_memory(self) -> None:
        """End a child that holds more than it may, or the last of what the machine has."""
        held = memory.resident_bytes(str(self.pid))
        over = held > self._memory_bytes
        if over or (held > BLAMED_BYTES and memory.is_short()):
            self.close()
            said = "more than it may" if over else "while the machine has next to nothing left"
            words = f"{self.module} was ended: it held {held / 1e9:.1f} GB, {said}."
            raise WorkerOutOfMemory(words, MORE_MEMORY)

    def _result(self, reply: Json) -> Json:
        if "bug" in reply:
            raise ChildBug(reply["bug"])
        try:
            error = from_code(**reply["error"]) if "error" in reply else None
            result = dict(reply["result"]) if error is None else {}
        except (TypeError, KeyError, ValueError):
            self.close()
            raise WorkerCrashed(f"{self.module} sent something that is not a reply.") from None
        if error:
            raise error
        return result

    def _obituary(self) -> WorkerCrashed | WorkerTimeout | WorkerOutOfMemory:
        """Why the child is gone, as an error to raise."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            code = 0
        words = last_words(self._scratch.path)
        self.close()
        if code == -signal.SIGXCPU:
            return WorkerTimeout(f"{self.module} used up its CPU time.")
        if code == -signal.SIGKILL:
            words = f"{self.module} was killed, most likely for its memory."
            return WorkerOutOfMemory(words, MORE_MEMORY)
        if says_out_of_memory(words):
            most = f"{self._memory_bytes / 1e9:.1f} GB"
            words = f"{self.module} reached its memory limit, {most}: {words}"
            return WorkerOutOfMemory(words, MORE_MEMORY)
        said = f" Its last words: {words}" if words else ""
        if code < 0:
            return WorkerCrashed(f"{self.module} died by {signal.Signals(-code).name}.{said}")
        return WorkerCrashed(f"{self.module} ended (exit {code}) without a reply.{said}")


def last_words(directory: Path) -> str:
    """The end of what a child with this working directory wrote on stderr, as one line."""
    try:
        with (directory / STDERR).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - READ_SIZE))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[-LAST_WORDS:]


def _clean_environment() -> Json:
    """Nothing of the server's environment but what a Python child needs."""
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "LATHE_HOME",
        "LATHE_MEMORY",
    )
    chosen = {name: os.environ[name] for name in kept if name in os.environ}
    return chosen | isa.environment() | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}
