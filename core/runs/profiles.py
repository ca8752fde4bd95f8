"""Profiles on demand: measured in the background, kept on disk, asked for again and again.

What is kept are the two profiles, not what is said about them: the causes are worked out anew, so
that a better rule speaks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.backends.base import reads
from core.errors import CoreError
from core.formats.base.artifacts import maker
from core.measure import ProfileJob, explained, host, profile, target
from core.records import Explanation, Profile, Run, to_json
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of

FORMAT = 2  # of what is kept
Pair = tuple[Profile, Profile]


class Profiles:
    """Profiles of pairs of models. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where they are kept; made when the first one is."""
        self._turns = Turns(wanted=lambda: False)  # measured alone: it makes no room half-way
        shelf: Shelf[Pair] = Shelf(Pair, folder)
        self._profiles = OnDemand(self._turns, shelf, stands_s=0.0)

    def get(
        self,
        key: str,
        job: Callable[[], ProfileJob],
        wait_s: float | None = None,
        passes: tuple[str, ...] = (),
    ) -> Explanation | None:
        """What the two profiles say; None if they are still being measured after `wait_s`.

        Args:
            key: of `key`.
            job: makes the job, in the background, if it must be measured.
            wait_s: how long to wait at most; None for ever.
            passes: that made the second model, for the fixes to name.

        Raises:
            CoreError: why there is none; the next call tries again.
        """

        def measured(_: Step) -> Pair:
            return profile(job())

        found = self._profiles.wait(key, measured, wait_s=wait_s)
        if found is None:
            return None
        before, after = found
        return explained(before, replace(after, passes=passes), host())

    def key(
        self, before: str, after: str, backend: str, threads: int, dims: Mapping[str, int]
    ) -> str:
        """A name for the question; that of version 0.1.0 where only then it was answered.

        Args:
            before: digest of the first model.
            after: of the second.
            backend: `name` or `name:precision`.
            threads: 0 is all cores.
            dims: sizes at which open dimensions are measured.
        """
        machine, place = host(), to_json(target(backend, threads))
        if made := _maker(backend):
            place = [place, *made]
        found, old = (
            profile_key(before, after, backend, threads, dims, where)
            for where in (place, machine.digest)
        )
        return old if self.known(old) and not self.known(found) else found

    def known(self, key: str) -> bool:
        """Whether `get` would answer at once."""
        return self._profiles.known(key) is not None

    def close(self) -> None:
        """Begin nothing more."""
        self._turns.close()


def profile_key(
    before: str,
    after: str,
    backend: str,
    threads: int,
    dims: Mapping[str, int] | None = None,
    place: object = "",
) -> str:
    """A name for the question: both digests, the backend, the threads, and where it is answered."""
    parts: tuple[object, ...] = (FORMAT, before, after, backend, threads, place)
    parts += (sorted(dims.items()),) if dims else ()
    return key_of(*parts)[:32]


def _maker(backend: str) -> tuple[str, ...]:
    """What converts the models for this backend: its times are those of what that writes."""
    try:
        return maker(reads(backend))
    except CoreError:
        return ()  # then nothing is profiled either


def passes_of(run: Run, digest: str) -> tuple[str, ...]:
    """The passes of a candidate that were not undone."""
    reports = [
        o.candidate.report for o in run.outcomes if o.candidate and o.candidate.digest == digest
    ]
    return tuple(r.step.pass_name for report in reports[:1] for r in report if not r.reverted)
