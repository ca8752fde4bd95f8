"""Runs, what became of their recipes, and their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from core.errors import StoreError
from core.records import (
    Answer,
    ExperimentSpec,
    Host,
    Json,
    Measurement,
    ModelSummary,
    Outcome,
    Recipe,
    Run,
    RunLine,
    RunProgress,
    State,
    from_json,
    optional,
    to_json,
)
from core.runs.store.bookmarks import Bookmarks
from core.runs.store.listing import text

UNKNOWN = Host("", (), 0, "")


class Store(Bookmarks):
    """The results on disk. Safe to use from several threads and processes."""

    # Runs

    def add_run(self, run: Run) -> None:
        """Write a new run.

        Raises:
            StoreError
        """
        row = (run.id, run.owner, run.created, text(run.spec), text(run.model))
        with self._open() as db:
            db.execute(
                "insert into runs (id, owner, created, spec, model, progress) values (?,?,?,?,?,?)",
                (*row, text(run.progress)),
            )

    def run(self, run_id: str) -> Run | None:
        """Everything known of a run.

        Raises:
            StoreError: it cannot be read.
        """
        with self._open() as db:
            row = db.execute(
                "select id, owner, created, spec, model, progress, host from runs where id = ?",
                (run_id,),
            ).fetchone()
            if row is None:
                return None
            outcomes = db.execute(
                "select body from outcomes where run = ? order by position", (run_id,)
            ).fetchall()
            numbers = db.execute(
                "select body from measurements where run = ? order by number", (run_id,)
            ).fetchall()
        try:
            return _run(row, outcomes, numbers)
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                "This run cannot be read: what is kept of it is damaged.",
                "Other runs are not affected. Measure it again.",
            ) from error

    def runs(self, owner: str) -> tuple[Run, ...]:
        """The runs of an owner, newest first."""
        with self._open() as db:
            ids = db.execute(
                "select id from runs where owner = ? order by rowid desc", (owner,)
            ).fetchall()
        found = (self.run(run_id) for (run_id,) in ids)
        return tuple(run for run in found if run is not None)

    def lines(self, owner: str, edition: str = "") -> tuple[RunLine, ...]:
        """The runs of an owner as a list shows them, newest first: no row of theirs is read.

        Args:
            owner: whose.
            edition: of the answers that are wanted; others are left out.
        """
        with self._open() as db:
            rows = db.execute(
                "select r.id, r.owner, r.created, r.spec, r.progress, "
                "json_extract(r.model, '$.name'), a.body from runs r "
                "left join answers a on a.run = r.id and a.edition = ? "
                "where r.owner = ? order by r.rowid desc",
                (edition, owner),
            ).fetchall()
        return tuple(_line(row) for row in rows)

    def keep_answer(self, line: RunLine, edition: str, answer: Answer) -> None:
        """Keep what was said of a run, unless it has gone on since `line` was read.

        Args:
            line: of the run.
            edition: of those who worded it.
            answer: which holds until the run goes on.
        """
        with self._open() as db:
            db.execute(
                "insert or replace into answers select id, ?, ? from runs "
                "where id = ? and json_extract(progress, '$.done') = ? "
                "and json_extract(progress, '$.total') = ?",
                (edition, text(answer), line.id, line.progress.done, line.progress.total),
            )

    def run_ids(self) -> frozenset[str]:
        """The ids of all runs."""
        with self._open() as db:
            return frozenset(run_id for (run_id,) in db.execute("select id from runs"))

    def is_any_live(self) -> bool:
        """Whether some run, of anybody, says that it is being worked on."""
        with self._open() as db:
            found = db.execute(
                "select 1 from runs where json_extract(progress, '$.state') in (?, ?) limit 1",
                (State.QUEUED.value, State.RUNNING.value),
            ).fetchone()
        return found is not None

    def set_progress(self, run_id: str, progress: RunProgress) -> None:
        """Say where a run is; what was said of it before holds no longer."""
        with self._open() as db:
            db.execute("update runs set progress = ? where id = ?", (text(progress), run_id))
            for table in ("answers", "kept_results"):
                db.execute(f"delete from {table} where run = ?", (run_id,))

    def set_recipes(self, run_id: str, recipes: tuple[Recipe, ...]) -> None:
        """Keep the recipes of a run that found more to ask; its title may be another by now."""
        with self._open() as db:
            db.execute(
                "update runs set spec = json_set(spec, '$.recipes', json(?)) where id = ?",
                (json.dumps([to_json(recipe) for recipe in recipes]), run_id),
            )

    def set_host(self, run_id: str, host: Host) -> None:
        """Say which machine measured a run."""
        self._update(run_id, "host", text(host))

    def set_cancelled(self, run_id: str, cancelled: bool) -> None:
        """Ask a run to stop, or take that back."""
        self._update(run_id, "cancel", int(cancelled))

    def cancelled(self, run_id: str) -> bool:
        """Whether a run shall stop; a run that was deleted shall."""
        return self._value(run_id, "cancel") in (1, None)

    def delete_run(self, run_id: str) -> None:
        """Forget a run and its rows."""
        with self._open() as db:
            db.execute("delete from runs where id = ?", (run_id,))

    # What a run finds out

    def add_outcome(self, run_id: str, position: int, outcome: Outcome) -> None:
        """Write what became of a recipe."""
        with self._open() as db:
            db.execute(
                "insert or replace into outcomes values (?,?,?)", (run_id, position, text(outcome))
            )

    def add_measurements(self, run_id: str, rows: Iterable[Measurement]) -> None:
        """Write rows; each supersedes an older answer to the same question."""
        values = [(run_id, question(row), text(row)) for row in rows]
        with self._open() as db:
            db.executemany(
                "insert or replace into measurements (run, question, body) values (?,?,?)", values
            )

    def finish(self, run_id: str, unit: str) -> None:
        """Note that a unit of work is done, so that resuming skips it."""
        with self._open() as db:
            db.execute("insert or ignore into units values (?,?)", (run_id, unit))

    def finished(self, run_id: str) -> frozenset[str]:
        """The units of work that are done."""
        with self._open() as db:
            rows = db.execute("select unit from units where run = ?", (run_id,)).fetchall()
        return frozenset(unit for (unit,) in rows)

    def _update(self, run_id: str, column: str, value: object) -> None:
        with self._open() as db:
            db.execute(f"update runs set {column} = ? where id = ?", (value, run_id))

    def _value(self, run_id: str, column: str) -> int | str | None:
        with self._open() as db:
            row = db.execute(f"select {column} from runs where id = ?", (run_id,)).fetchone()
        return row[0] if row else None


def question(row: Measurement) -> str:
    """What a row answers: rows with the same question are the same number measured again."""
    condition = json.dumps(dict(row.condition), sort_keys=True)
    return "\n".join((row.candidate, row.backend, row.metric, condition))


def _line(row: tuple[str, ...]) -> RunLine:
    run_id, owner, created, spec, progress, name, answer = row
    return RunLine(
        run_id,
        owner,
        created,
        from_json(ExperimentSpec, json.loads(spec)),
        from_json(RunProgress, json.loads(progress)),
        name,
        optional(Answer, json.loads(answer) if answer else None),
    )


def _run(row: tuple[str, ...], outcomes: list[tuple[str]], numbers: list[tuple[str]]) -> Run:
    run_id, owner, created, spec, model, progress, host = row
    on = optional(Host, json.loads(host) if host else None)
    return Run(
        run_id,
        owner,
        created,
        from_json(ExperimentSpec, json.loads(spec)),
        from_json(RunProgress, json.loads(progress)),
        from_json(ModelSummary, json.loads(model)),
        tuple(from_json(Outcome, json.loads(body)) for (body,) in outcomes),
        tuple(_measurement(json.loads(body), on) for (body,) in numbers),
        on,
    )


def _measurement(body: Json, host: Host | None) -> Measurement:
    """A row as it was kept.

    Version 0.1.0 kept the digest of a Host instead of a Target: where that is the run's own, the
    row's device and version are read from there; of any other nothing but the digest is known.
    """
    row = from_json(Measurement, body)
    digest = body.get("host", "")
    if row.target is not None or not digest or not row.backend:
        return row
    threads = int(row.condition.get("threads", 0))
    if host is not None and host.digest == digest:
        return replace(row, target=host.target(row.backend, threads))
    return replace(row, target=replace(UNKNOWN.target(row.backend, threads), device=digest))
