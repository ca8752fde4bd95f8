"""The SQLite file: its tables, one transaction at a time, and trouble in words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from core.errors import StoreError

VERSION = 1
BUSY_S = 15.0  # that a page waits for another writer
PATIENT_S = 600.0  # that a run does: what it measured is worth more than a moment
LOG_PAGES = 32  # of 4 KiB; a log that grows further takes room that a full disk lacks
# `pid` of runs is no longer written: a lease names its holder (`core.runs.queue`).
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
create table if not exists answers (
    run text primary key references runs (id) on delete cascade, edition text not null,
    body text not null
);
create table if not exists kept_results (
    run text primary key references runs (id) on delete cascade, edition text not null,
    body text not null
);
create table if not exists bookmarks (
    owner text not null, run text not null references runs (id) on delete cascade,
    candidate text not null, body text not null, primary key (owner, run, candidate)
);
create table if not exists models (
    owner text not null, digest text not null, created text not null default current_timestamp,
    body text not null, primary key (owner, digest)
);
create table if not exists data_sets (
    owner text not null, digest text not null, created text not null default current_timestamp,
    body text not null, primary key (owner, digest)
);
create table if not exists recipes (
    owner text not null, name text not null, created text not null default current_timestamp,
    body text not null, primary key (owner, name)
);
create index if not exists runs_by_owner on runs (owner, created);
"""


class Database:
    """The file. Safe to use from several threads and processes."""

    def __init__(self, path: Path, busy_s: float = BUSY_S, lasting: bool = True) -> None:
        """Open or create it.

        Args:
            path: of the file.
            busy_s: how long a call waits where another process writes.
            lasting: whether what is written has to survive a crash of the machine; what goes with
                one command need not wait for the disk.

        Raises:
            StoreError: it cannot be created, or is of a newer version.
        """
        self.path, self._busy_s = path, busy_s
        self._synchronous = "full" if lasting else "off"
        with self._open() as db:
            db.execute("pragma journal_mode = wal")
            found = int(db.execute("pragma user_version").fetchone()[0])
            if found > VERSION:
                raise StoreError(
                    f"{path.name} was written by a newer Lathe (format {found}).", "Update Lathe."
                )
            db.executescript(SCHEMA)
            if found != VERSION:
                db.execute(f"pragma user_version = {VERSION}")
        self._anchor = self._anchored()

    def _anchored(self) -> sqlite3.Connection:
        """A connection that only stays open: what is read beside it makes no file anew.

        The last connection to go takes the log and its index along; the next one has to make them,
        which a full disk does not let it.
        """
        try:
            anchor = sqlite3.connect(self.path, timeout=self._busy_s, check_same_thread=False)
            anchor.execute("select count(*) from units").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"Results cannot be read: {error}.", _advice(error)) from error
        return anchor

    def close(self) -> None:
        """Let go of the file; calls go on to work, only not on a full disk."""
        self._anchor.close()

    def give_back(self) -> None:
        """Return what the log takes on disk, as far as nobody reads it; best called after deleting.

        Raises:
            StoreError: the file cannot be opened.
        """
        with self._open() as db:
            db.execute("pragma wal_checkpoint(truncate)")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a connection of its own."""
        try:
            db = sqlite3.connect(self.path, timeout=self._busy_s)
            try:
                db.execute("pragma foreign_keys = on")
                db.execute(f"pragma synchronous = {self._synchronous}")
                db.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
                with db:
                    yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(f"Results cannot be kept: {error}.", _advice(error)) from error


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
