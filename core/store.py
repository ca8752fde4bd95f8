"""Every run, what became of its recipes, and every number measured: one SQLite file.

Written by several processes at once (the server, jobs, the command line): WAL, and
synchronous=FULL, so that what was acknowledged survives a kill. A row for a question that was
answered before (same run, candidate, backend, metric, condition) supersedes the older answer.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.errors import StoreError
from core.records import (
    DataSummary,
    ExperimentSpec,
    Host,
    Json,
    Measurement,
    ModelSummary,
    Outcome,
    Run,
    RunProgress,
    from_json,
    optional,
    to_json,
)

VERSION = 1
BUSY_S = 15.0
SCHEMA = """
create table if not exists runs (
    id text primary key, owner text not null, created text not null, spec text not null,
    model text not null, progress text not null, host text, cancel integer not null default 0,
    pid integer not null default 0
);
create table if not exists outcomes (
    run text not null references runs (id) on delete cascade, position integer not null,
    body text not null, primary key (run, position)
);
create table if not exists measurements (
    number integer primary key, run text not null references runs (id) on delete cascade,
    question text not null, body text not null, unique (run, question)
);
create table if not exists units (
    run text not null references runs (id) on delete cascade, unit text not null,
    primary key (run, unit)
);
create table if not exists models (
    owner text not null, digest text not null, created text not null default current_timestamp,
    body text not null, primary key (owner, digest)
);
create table if not exists data_sets (
    owner text not null, digest text not null, created text not null default current_timestamp,
    body text not null, primary key (owner, digest)
);
create index if not exists runs_by_owner on runs (owner, created);
"""


class Store:
    """The results on disk. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            StoreError: it cannot be created, or is of a newer version.
        """
        self.path = path
        with self._open() as db:
            db.execute("pragma journal_mode = wal")
            found = int(db.execute("pragma user_version").fetchone()[0])
            if found > VERSION:
                raise StoreError(
                    f"{path.name} was written by a newer Lathe (format {found}).", "Update Lathe."
                )
            db.executescript(SCHEMA)
            db.execute(f"pragma user_version = {VERSION}")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a connection of its own."""
        try:
            db = sqlite3.connect(self.path, timeout=BUSY_S)
            try:
                db.execute("pragma foreign_keys = on")
                db.execute("pragma synchronous = full")
                with db:
                    yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(f"Results cannot be kept: {error}.", _advice(error)) from error

    # Runs

    def add_run(self, run: Run) -> None:
        """Write a new run.

        Raises:
            StoreError
        """
        row = (run.id, run.owner, run.created, _text(run.spec), _text(run.model))
        with self._open() as db:
            db.execute(
                "insert into runs (id, owner, created, spec, model, progress) values (?,?,?,?,?,?)",
                (*row, _text(run.progress)),
            )

    def run(self, run_id: str) -> Run | None:
        """Everything known of a run."""
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
        return _run(row, outcomes, numbers)

    def runs(self, owner: str) -> tuple[Run, ...]:
        """The runs of an owner, newest first."""
        with self._open() as db:
            ids = db.execute(
                "select id from runs where owner = ? order by created desc, rowid desc", (owner,)
            ).fetchall()
        found = (self.run(run_id) for (run_id,) in ids)
        return tuple(run for run in found if run is not None)

    def run_ids(self) -> frozenset[str]:
        """The ids of all runs."""
        with self._open() as db:
            return frozenset(run_id for (run_id,) in db.execute("select id from runs"))

    def set_progress(self, run_id: str, progress: RunProgress) -> None:
        """Say where a run is."""
        self._update(run_id, "progress", _text(progress))

    def set_host(self, run_id: str, host: Host) -> None:
        """Say which machine measured a run."""
        self._update(run_id, "host", _text(host))

    def set_pid(self, run_id: str, pid: int) -> None:
        """Say which process works on a run."""
        self._update(run_id, "pid", pid)

    def pid(self, run_id: str) -> int:
        """The process that works, or last worked, on a run; 0 if none did."""
        return int(self._value(run_id, "pid") or 0)

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
                "insert or replace into outcomes values (?,?,?)", (run_id, position, _text(outcome))
            )

    def add_measurements(self, run_id: str, rows: Iterable[Measurement]) -> None:
        """Write rows; each supersedes an older answer to the same question."""
        values = [(run_id, question(row), _text(row)) for row in rows]
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

    # What users brought

    def add_model(self, owner: str, summary: ModelSummary) -> None:
        """List a model for an owner."""
        self._list("models", owner, summary.digest, summary)

    def models(self, owner: str) -> tuple[ModelSummary, ...]:
        """An owner's models, newest first."""
        return tuple(from_json(ModelSummary, body) for body in self._listed("models", owner))

    def add_data(self, owner: str, summary: DataSummary) -> None:
        """List an image set for an owner."""
        self._list("data_sets", owner, summary.digest, summary)

    def data_sets(self, owner: str) -> tuple[DataSummary, ...]:
        """An owner's image sets, newest first."""
        return tuple(from_json(DataSummary, body) for body in self._listed("data_sets", owner))

    def referenced(self) -> frozenset[str]:
        """Digests of all files that some owner's list or some run still needs."""
        with self._open() as db:
            listed = db.execute(
                "select digest from models union select digest from data_sets "
                "union select json_extract(body, '$.candidate.digest') from outcomes "
                "union select json_extract(model, '$.digest') from runs "
                "union select json_extract(spec, '$.calibration') from runs "
                "union select json_extract(spec, '$.evaluation') from runs"
            ).fetchall()
        return frozenset(digest for (digest,) in listed if digest)

    def _list(self, table: str, owner: str, digest: str, summary: object) -> None:
        with self._open() as db:
            db.execute(
                f"insert or replace into {table} (owner, digest, body) values (?,?,?)",
                (owner, digest, _text(summary)),
            )

    def _listed(self, table: str, owner: str) -> list[Json]:
        with self._open() as db:
            rows = db.execute(
                f"select body from {table} where owner = ? order by rowid desc", (owner,)
            ).fetchall()
        return [json.loads(body) for (body,) in rows]

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


def _run(row: tuple[str, ...], outcomes: list[tuple[str]], numbers: list[tuple[str]]) -> Run:
    run_id, owner, created, spec, model, progress, host = row
    return Run(
        run_id,
        owner,
        created,
        from_json(ExperimentSpec, json.loads(spec)),
        from_json(RunProgress, json.loads(progress)),
        from_json(ModelSummary, json.loads(model)),
        tuple(from_json(Outcome, json.loads(body)) for (body,) in outcomes),
        tuple(from_json(Measurement, json.loads(body)) for (body,) in numbers),
        optional(Host, json.loads(host) if host else None),
    )


def _text(record: object) -> str:
    return json.dumps(to_json(record))


def _advice(error: sqlite3.Error) -> str:
    words = str(error)
    if "full" in words:
        return "The disk is full: free some space. What was measured before is kept."
    if "disk I/O" in words:
        return "Check that the disk has room and your quota too. What was measured before is kept."
    if "locked" in words or "busy" in words:
        return "Another program holds the file: close it and try again."
    if "readonly" in words or "unable to open" in words:
        return "Check that LATHE_HOME is a folder that you may write to."
    return ""
