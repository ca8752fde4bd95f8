"""What is kept beside runs: their results as a comparison reads them, and users' bookmarks."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable

from core.records import LIVE, Bookmark, Json, Result, RunProgress, from_json, to_json
from core.runs.store.listing import text
from core.runs.store.recipes import NamedRecipes

Key = tuple[str, str]  # run, candidate


class Bookmarks(NamedRecipes):
    """Results and bookmarks."""

    def kept_results(
        self, owner: str, model: str, edition: str
    ) -> dict[str, tuple[Result, ...] | None]:
        """By id of each run of this model, newest first; None of one that nobody condensed yet.

        Args:
            owner: whose runs.
            model: digest of the original.
            edition: of those who condensed them; what others made is left out.
        """
        with self._open() as db:
            rows = db.execute(
                "select r.id, k.body from runs r "
                "left join kept_results k on k.run = r.id and k.edition = ? "
                "where r.owner = ? and json_extract(r.spec, '$.model') = ? order by r.rowid desc",
                (edition, owner, model),
            ).fetchall()
        return {run: _results(body) if body else None for run, body in rows}

    def keep_results(self, run: str, edition: str, found: Iterable[Result]) -> None:
        """Keep the results of a run that stands still; forgotten when it goes on."""
        body = json.dumps([to_json(result) for result in found])
        with self._open() as db:
            db.execute(
                "insert or replace into kept_results select id, ?, ? from runs where id = ?",
                (edition, body, run),
            )

    def bookmarks(self, owner: str) -> dict[Key, Bookmark]:
        """Every bookmark of an owner."""
        with self._open() as db:
            rows = db.execute(
                "select run, candidate, body from bookmarks where owner = ?", (owner,)
            ).fetchall()
        return {(run, made): from_json(Bookmark, json.loads(body)) for run, made, body in rows}

    def set_bookmark(self, owner: str, key: Key, bookmark: Bookmark) -> None:
        """Keep a bookmark of a run that is there; one that says nothing is taken away."""
        with self._open() as db:
            if bookmark == Bookmark():
                db.execute(
                    "delete from bookmarks where owner = ? and run = ? and candidate = ?",
                    (owner, *key),
                )
            else:
                db.execute(
                    "insert or replace into bookmarks select ?, id, ?, ? from runs where id = ?",
                    (owner, key[1], text(bookmark), key[0]),
                )

    def live(self) -> list[tuple[str, str, str, str, RunProgress]]:
        """Runs that say they are worked on, of anybody, oldest first.

        Returns:
            Id, owner, title, name of the model, progress.
        """
        with self._open() as db:
            rows = db.execute(
                "select id, owner, json_extract(spec, '$.title'), json_extract(model, '$.name'), "
                "progress from runs where json_extract(progress, '$.state') in (?, ?) "
                "order by rowid",
                tuple(state.value for state in LIVE),
            ).fetchall()
        return [(*row[:4], _progress(json.loads(row[4]))) for row in rows]


@functools.lru_cache(maxsize=4096)
def _results(body: str) -> tuple[Result, ...]:
    return tuple(from_json(Result, one) for one in json.loads(body))


def _progress(body: Json) -> RunProgress:
    return from_json(RunProgress, body)
