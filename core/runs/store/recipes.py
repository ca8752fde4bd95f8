"""Recipes that people keep under names of their own."""

from __future__ import annotations

import json
import sqlite3

from core.errors import StoreError
from core.records import Recipe, from_json
from core.runs.store.listing import Listing, text

MOST_RECIPES = 200  # of one owner


class NamedRecipes(Listing):
    """The recipes of each owner, no two of one owner under one name."""

    def recipes(self, owner: str) -> tuple[Recipe, ...]:
        """An owner's recipes, that which was kept last first."""
        with self._open() as db:
            rows = db.execute(
                "select body from recipes where owner = ? order by rowid desc", (owner,)
            ).fetchall()
        return tuple(from_json(Recipe, json.loads(body)) for (body,) in rows)

    def keep_recipe(self, owner: str, recipe: Recipe, replace: bool = False) -> None:
        """Keep a recipe under its name.

        Raises:
            StoreError: another one has this name and is not to be replaced, or there are too many.
        """
        with self._open() as db:
            kept = {name for (name,) in db.execute(_NAMES, (owner,))}
            if recipe.name in kept and not replace:
                raise _taken(recipe.name)
            if len(kept) >= MOST_RECIPES and recipe.name not in kept:
                raise StoreError(
                    f"{MOST_RECIPES} recipes are kept, which is the most.", "Delete some first."
                )
            db.execute(
                "insert or replace into recipes (owner, name, body) values (?,?,?)",
                (owner, recipe.name, text(recipe)),
            )

    def rename_recipe(self, owner: str, before: str, after: str) -> None:
        """Keep a recipe under another name.

        Raises:
            StoreError: there is none of this name, or one of the other.
        """
        with self._open() as db:
            try:
                done = db.execute(
                    "update recipes set name = ?1, body = json_set(body, '$.name', ?1) "
                    "where owner = ?2 and name = ?3",
                    (after, owner, before),
                )
            except sqlite3.IntegrityError:
                raise _taken(after) from None
            if not done.rowcount:
                raise StoreError(f"There is no recipe {before}: it is deleted already.")

    def delete_recipe(self, owner: str, name: str) -> None:
        """Forget a recipe; one that is not there is forgotten already."""
        with self._open() as db:
            db.execute("delete from recipes where owner = ? and name = ?", (owner, name))


_NAMES = "select name from recipes where owner = ?"


def _taken(name: str) -> StoreError:
    return StoreError(f"There is a recipe {name} already.", "Choose another name.")
