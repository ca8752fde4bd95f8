"""What visitors' uploads take on disk, held to the quota, and let go when asked."""

from __future__ import annotations

import threading

from core.errors import StoreError
from core.records.stored import Upload
from core.runs import gc, names
from core.runs.home import Home
from core.runs.quota import EVERYBODY, UPLOAD, VISITOR, Quota
from core.runs.store import Listed, Store

NOBODY = ""  # the owner of what belongs to all: samples


class Holdings:
    """Uploads by owner. Thread-safe."""

    def __init__(self, home: Home, store: Store, quota: Quota) -> None:
        """Look only; nothing is deleted unasked."""
        self._home, self._store, self.quota = home, store, quota
        self._guard = threading.Lock()

    def uploads(self, owner: str | None = None) -> tuple[Upload, ...]:
        """What an owner uploaded, or everybody, newest first."""
        return tuple(
            Upload(
                one.digest, one.name, one.kind, self._bytes(one), one.created, one.owner, one.runs
            )
            for one in self._store.listed(owner)
            if one.owner != NOBODY
        )

    def used(self, owner: str | None = None) -> int:
        """Bytes that the uploads of an owner, or of everybody, take; a file counts once."""
        listed = {one.digest: one for one in self._store.listed(owner) if one.owner != NOBODY}
        return sum(self._bytes(one) for one in listed.values())

    def check(self, owner: str, size: int) -> None:
        """See that an upload may come in.

        Args:
            owner: whose it is.
            size: bytes of it.

        Raises:
            StoreError: it is too large, or the quota is used up.
        """
        if size > self.quota.upload:
            raise StoreError(
                f"This upload has {_size(size)}, and one may have {_size(self.quota.upload)}.",
                f"Whoever runs this server can raise {UPLOAD}.",
            )
        for whose, taken, most, name in (
            ("Your uploads", self.used(owner), self.quota.visitor, VISITOR),
            ("The uploads of all visitors", self.used(), self.quota.everybody, EVERYBODY),
        ):
            if taken + size > most:
                raise StoreError(
                    f"{whose} would take {_size(taken + size)}, and may take {_size(most)}.",
                    f"Delete some under Runs, or ask whoever runs this server to raise {name}.",
                )

    def settle(self, owner: str, digest: str) -> None:
        """Take back what was just listed where it is over the quota after all.

        A packed upload may be larger on disk than it was on its way.

        Raises:
            StoreError: it is, and it is gone again.
        """
        with self._guard:
            size = sum(map(gc.bytes_of, gc.files(self._home, digest)))
            if not size:  # the last other owner of the same file let it go in this very moment
                self._store.unlist(owner, digest)
                raise StoreError("This file was being deleted.", "Upload it again.")
            try:
                self.check(owner, size if size > self.quota.upload else 0)
            except StoreError:
                self._let_go(owner, digest)
                raise

    def delete(self, digest: str, owner: str) -> int:
        """Take an upload off an owner's list, and its file off the disk if nothing needs it.

        Args:
            digest: of a model or an image set.
            owner: whose.

        Returns:
            Bytes that became free.

        Raises:
            StoreError: there is no such upload, or runs of this owner need it.
        """
        with self._guard:
            found = [one for one in self._store.listed(owner) if one.digest == digest]
            if not found:
                raise StoreError("There is no such upload: it is deleted already.")
            if needed := {run for one in found for run in one.runs}:
                runs = "1 run needs" if len(needed) == 1 else f"{len(needed)} runs need"
                raise StoreError(f"{runs} {found[0].name}.", "Delete the runs first.")
            return self._let_go(owner, digest)

    def rename(self, digest: str, name: str, owner: str) -> str:
        """Call an upload otherwise on its owner's list; the name as it is kept.

        Raises:
            StoreError: there is no such upload, or no good name.
        """
        kept = names.given(name)
        if all(one.digest != digest for one in self._store.listed(owner)):
            raise StoreError("There is no such upload: it is deleted already.")
        self._store.rename(owner, digest, kept)
        return kept

    def _let_go(self, owner: str, digest: str) -> int:
        self._store.unlist(owner, digest)
        return gc.let_go(self._home, self._store, digest)

    def _bytes(self, one: Listed) -> int:
        return sum(map(gc.bytes_of, gc.files(self._home, one.digest)))


def _size(size: int) -> str:
    """Bytes as the screen writes them, in steps of a thousand."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
