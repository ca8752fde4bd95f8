"""The room of results: what all runs of a model found, users' bookmarks, and what is going on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from core import sources
from core.errors import StoreError
from core.records import LIVE, Bookmark, Live, Result
from core.runs import queue
from core.runs.installation import Installation
from core.search.results import results_of
from core.workspace.runs import Runs

# Whatever condenses the rows of a run.
CONDENSED_BY = (
    "backends",
    "fidelity.py",
    "metrics",
    "recipes.py",
    "records",
    "search",
    "tasks",
    "verdict.py",
)
MOST_NAME, MOST_NOTE, MOST_TAG, MOST_TAGS = 120, 2_000, 40, 12


class Results:
    """Results across runs. Thread-safe."""

    def __init__(self, installation: Installation, runs: Runs) -> None:
        """Nothing is read yet.

        Args:
            installation: what all rooms share.
            runs: of which results are condensed.
        """
        self._at, self._runs = installation, runs

    def of(self, owner: str, model: str) -> tuple[Result, ...]:
        """Every recipe of this owner's runs of a model, the newest run first.

        Rows are read once: what a run that stands still found is kept in short.
        """
        edition = sources.digest(*CONDENSED_BY)
        found: list[Result] = []
        for run_id, kept in self._at.store.kept_results(owner, model, edition).items():
            found += self._condensed(run_id, edition) if kept is None else kept
        return tuple(found)

    def _condensed(self, run_id: str, edition: str) -> tuple[Result, ...]:
        try:
            run = self._runs.get(run_id)
        except StoreError:  # deleted meanwhile
            return ()
        found = results_of(run)
        if run.progress.state not in LIVE:
            with contextlib.suppress(StoreError):  # a full disk: condensed again the next time
                self._at.store.keep_results(run_id, edition, found)
        return found

    def bookmarks(self, owner: str) -> Mapping[tuple[str, str], Bookmark]:
        """What this owner named, noted, tagged or pinned, by run and candidate."""
        return self._at.store.bookmarks(owner)

    def bookmark(self, key: tuple[str, str], bookmark: Bookmark, owner: str) -> None:
        """Keep a bookmark of a candidate of a run; an empty one is taken away.

        Raises:
            StoreError: there is no such run, or the disk is full.
        """
        self._runs.get(key[0])
        kept = tidy(bookmark)
        self._at.reserve.with_room(lambda: self._at.store.set_bookmark(owner, key, kept))

    def live(self, owner: str) -> tuple[Live, ...]:
        """This owner's runs that are worked on, the oldest first; cheap enough to be polled."""
        found: list[Live] = []
        ahead = 0
        for run_id, whose, title, model, progress in self._at.store.live():
            if not queue.is_alive(self._at.home, run_id, progress):
                continue
            if whose == owner:
                found.append(Live(run_id, title, model, progress, ahead))
            ahead += 1
        return tuple(found)


def tidy(bookmark: Bookmark) -> Bookmark:
    """A bookmark without stray spaces, no longer than a page can show."""
    tags = (" ".join(tag.split())[:MOST_TAG] for tag in bookmark.tags)
    return replace(
        bookmark,
        name=" ".join(bookmark.name.split())[:MOST_NAME],
        note=bookmark.note.strip()[:MOST_NOTE],
        tags=tuple(dict.fromkeys(tag for tag in tags if tag))[:MOST_TAGS],
    )
