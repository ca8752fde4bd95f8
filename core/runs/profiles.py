"""Profiles on demand: measured in the background, kept on disk, asked for again and again.

What is kept are the two profiles, not what is said about them: the causes are worked out anew, so
that a better rule speaks at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import replace
from pathlib import Path

from core.measure import ProfileJob, explained, host, host_digest, profile
from core.records import Explanation, Profile, Run, from_json, to_json

FORMAT = 2  # of what is kept
Pair = tuple[Profile, Profile]


class Profiles:
    """A cache of profiles with one thread that measures. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where they are kept; made when the first one is."""
        self._folder = folder
        self._guard = threading.Lock()
        self._asked: dict[str, Future[Pair]] = {}
        self._measuring: ThreadPoolExecutor | None = None

    def get(
        self,
        key: str,
        job: Callable[[], ProfileJob],
        wait_s: float | None = None,
        passes: tuple[str, ...] = (),
    ) -> Explanation | None:
        """What the two profiles say; None if they are still being measured after `wait_s`.

        Args:
            key: of `key_of`.
            job: makes the job, in the background, if it must be measured.
            wait_s: how long to wait at most; None for ever.
            passes: that made the second model, for the fixes to name.

        Raises:
            CoreError: why there is none; the next call tries again.
        """
        kept = self._read(key)
        if kept is None:
            with self._guard:
                asked = self._asked.get(key)
                if asked is None:
                    self._measuring = self._measuring or ThreadPoolExecutor(1, "profiles")
                    asked = self._measuring.submit(self._measure, key, job)
                    self._asked[key] = asked
            try:
                kept = asked.result(wait_s)
            except StillRunning:
                if not asked.done():
                    return None
                raise
            finally:
                if asked.done():
                    with self._guard:
                        self._asked.pop(key, None)
        before, after = kept
        return explained(before, replace(after, passes=passes), host())

    def known(self, key: str) -> bool:
        """Whether `get` would answer at once."""
        return self._path(key).is_file()

    def close(self) -> None:
        """Begin nothing more."""
        with self._guard:
            if self._measuring is not None:
                self._measuring.shutdown(wait=False, cancel_futures=True)

    def _measure(self, key: str, job: Callable[[], ProfileJob]) -> Pair:
        found = profile(job())
        with contextlib.suppress(OSError):  # what cannot be kept is measured again
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._path(key).with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(to_json(found)), encoding="utf-8")
            part.replace(self._path(key))
        return found

    def _read(self, key: str) -> Pair | None:
        try:
            data = json.loads(self._path(key).read_text(encoding="utf-8"))
            return from_json(tuple[Profile, Profile], data)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def key_of(
    before: str, after: str, backend: str, threads: int, dims: Mapping[str, int] | None = None
) -> str:
    """A name for the question: both digests, the backend, the threads, and this host's versions.

    `dims` are the sizes at which open dimensions are measured.
    """
    parts: tuple[object, ...] = (FORMAT, before, after, backend, threads, host_digest(host()))
    parts += (sorted(dims.items()),) if dims else ()
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def passes_of(run: Run, digest: str) -> tuple[str, ...]:
    """The passes of a candidate that were not undone."""
    reports = [
        o.candidate.report for o in run.outcomes if o.candidate and o.candidate.digest == digest
    ]
    return tuple(r.step.pass_name for report in reports[:1] for r in report if not r.reverted)
