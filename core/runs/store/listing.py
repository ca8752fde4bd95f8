"""What users brought: models and image sets by owner, and which files are still needed."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

from core.records import DataSummary, ModelSummary, from_json, to_json
from core.runs.store.database import Database

MODELS, DATA_SETS = "models", "data_sets"
LISTED = """
select l.owner, l.kind, l.digest, l.name, l.created, (
    select group_concat(r.id, ' ') from runs r
    where r.owner = l.owner and l.digest in (
        json_extract(r.spec, '$.model'),
        json_extract(r.spec, '$.calibration'),
        json_extract(r.spec, '$.evaluation')
    )
)
from (
    select 'model' kind, owner, digest, created, json_extract(body, '$.name') name from models
    union all
    select 'images', owner, digest, created, json_extract(body, '$.name') from data_sets
) l
where ?1 is null or l.owner = ?1
order by l.created desc
"""
_OF_THE_MODEL = "owner = :owner and json_extract(model, '$.digest') = :digest"
_TITLED = "json_extract(model, '$.name') || ': '"  # how the title of a run begins
RENAMED_RUNS = (
    "delete from answers where run in "  # what was said of them may name the model
    f"(select id from runs where {_OF_THE_MODEL})",
    "update runs set spec = json_set(spec, '$.title', "
    f":name || ': ' || substr(json_extract(spec, '$.title'), length({_TITLED}) + 1)) "
    f"where {_OF_THE_MODEL} and instr(json_extract(spec, '$.title'), {_TITLED}) = 1",
    f"update runs set model = json_set(model, '$.name', :name) where {_OF_THE_MODEL}",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of somebody's list.

    Attributes:
        kind: "model" or "images".
        created: UTC, ISO 8601.
        runs: ids of this owner's runs that name it.
    """

    owner: str
    kind: str
    digest: str
    name: str
    created: str
    runs: tuple[str, ...] = ()


class Listing(Database):
    """The lists of models and image sets."""

    def add_model(self, owner: str, summary: ModelSummary) -> None:
        """List a model for an owner."""
        self._list(MODELS, owner, summary.digest, summary)

    def models(self, owner: str) -> tuple[ModelSummary, ...]:
        """An owner's models, newest first."""
        return tuple(_model(body) for body in self._listed(MODELS, owner))

    def add_data(self, owner: str, summary: DataSummary) -> None:
        """List an image set for an owner."""
        self._list(DATA_SETS, owner, summary.digest, summary)

    def data_sets(self, owner: str) -> tuple[DataSummary, ...]:
        """An owner's image sets, newest first."""
        return tuple(
            from_json(DataSummary, json.loads(body)) for body in self._listed(DATA_SETS, owner)
        )

    def listed(self, owner: str | None = None) -> tuple[Listed, ...]:
        """The list of one owner, or those of all, newest first; no file is opened."""
        with self._open() as db:
            lines = db.execute(LISTED, (owner,)).fetchall()
        return tuple(
            Listed(whose, kind, digest, name, created, tuple((runs or "").split()))
            for whose, kind, digest, name, created, runs in lines
        )

    def unlist(self, owner: str, digest: str) -> None:
        """Take a model or an image set off an owner's list."""
        with self._open() as db:
            for table in (MODELS, DATA_SETS):
                db.execute(f"delete from {table} where owner = ? and digest = ?", (owner, digest))

    def rename(self, owner: str, digest: str, name: str) -> None:
        """Call a file of an owner's list otherwise, also in this owner's runs and their titles."""
        with self._open() as db:
            for table in (MODELS, DATA_SETS):
                db.execute(
                    f"update {table} set body = json_set(body, '$.name', ?) "
                    "where owner = ? and digest = ?",
                    (name, owner, digest),
                )
            for statement in RENAMED_RUNS:
                db.execute(statement, {"owner": owner, "digest": digest, "name": name})

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
                (owner, digest, text(summary)),
            )

    def _listed(self, table: str, owner: str) -> list[str]:
        with self._open() as db:
            rows = db.execute(
                f"select body from {table} where owner = ? order by rowid desc", (owner,)
            ).fetchall()
        return [body for (body,) in rows]


@functools.lru_cache(maxsize=256)
def _model(body: str) -> ModelSummary:
    """A summary as a column holds it; a page asks for the same ones again and again."""
    return from_json(ModelSummary, json.loads(body))


def text(record: object) -> str:
    """A record as a column holds it."""
    return json.dumps(to_json(record))
