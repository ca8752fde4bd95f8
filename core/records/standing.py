"""The rows of a run that stand: a later row supersedes an earlier one of the same question."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.measurements import MEASURED, Measurement
from core.records.recipes import Candidate
from core.records.runs import Outcome, Run

Key = tuple[str, str, str]


class Standing:
    """Rows of a run by candidate, backend and metric."""

    def __init__(self, run: Run) -> None:
        """Index the rows once; figures ask for many of them."""
        self._rows: dict[Key, dict[tuple[tuple[str, str], ...], Measurement]] = {}
        for row in run.measurements:
            same = self._rows.setdefault((row.candidate, row.backend, row.metric), {})
            condition = tuple(sorted(row.condition.items()))
            same.pop(condition, None)
            same[condition] = row

    def __iter__(self) -> Iterator[Measurement]:
        """Every standing row, in the order in which its question was first asked."""
        for same in self._rows.values():
            yield from same.values()

    def row(
        self,
        candidate: str,
        metric: str,
        backend: str = "",
        threads: int | None = None,
        beside: str = "",
    ) -> Measurement | None:
        """The newest standing row of a question.

        Args:
            candidate: digest.
            metric: its name.
            backend: empty for what needs none.
            threads: None takes any thread count.
            beside: of a baseline's latency, the candidate that it was timed with: only these two
                numbers belong together. Empty, or never timed beside it: the newest.
        """
        found = self.rows(candidate, metric, backend, threads)
        together = [row for row in found if beside and row.condition.get("beside") == beside]
        newest_last = together or found
        return newest_last[-1] if newest_last else None

    def rows(
        self, candidate: str, metric: str, backend: str, threads: int | None
    ) -> list[Measurement]:
        """Every standing row of a question: a baseline's latency has one beside each candidate."""
        return [
            row
            for row in self._rows.get((candidate, backend, metric), {}).values()
            if threads is None or row.condition.get("threads", str(threads)) == str(threads)
        ]

    def value(
        self,
        candidate: str,
        metric: str,
        backend: str = "",
        threads: int | None = None,
        beside: str = "",
    ) -> float | None:
        """The number of a row that was measured."""
        return measured(self.row(candidate, metric, backend, threads, beside))


def measured(row: Measurement | None) -> float | None:
    """The number of a row; None unless it was measured."""
    return row.value if row is not None and row.status in MEASURED else None


def baseline(run: Run) -> Candidate | None:
    """The unchanged model as the run measured it."""
    return run.outcomes[0].candidate if run.outcomes else None


def outcome_of(run: Run, digest: str | None) -> Outcome | None:
    """The outcome that made a candidate; without a digest, the last recipe that is no baseline.

    Of several that made the same file, one of which no step failed goes first.
    """
    if digest is None:
        return run.outcomes[-1] if len(run.outcomes) > 1 else None
    found = [o for o in run.outcomes if o.candidate is not None and o.candidate.digest == digest]
    whole = [outcome for outcome in found if not outcome.failed]
    return (whole or found)[-1] if found else None


def first_threads(run: Run) -> int:
    """The thread count that stands for the run where only one number fits."""
    return run.spec.threads[0] if run.spec.threads else 1
