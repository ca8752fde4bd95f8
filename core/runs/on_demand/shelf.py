"""Cache of answers by key: the latest in memory, each in a JSON file where there is a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from core.records import from_json, to_json

Answer = TypeVar("Answer")


def key_of(*facts: Any) -> str:
    """A name for a question: the same facts have the same name."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Shelf(Generic[Answer]):
    """Answers that were found. Thread-safe, and safe beside other processes."""

    def __init__(self, kind: Any, folder: Path | None = None, most: int = 64) -> None:
        """Nothing is read yet.

        Args:
            kind: what an answer is, for the files; a record or a tuple of records.
            folder: of the files, made when the first one is; None to keep answers in memory alone.
            most: answers in memory.
        """
        self._kind, self._folder, self._most = kind, folder, most
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    def get(self, key: str) -> Answer | None:
        """The answer; None where there is none, or its file is damaged."""
        with self._guard:
            if key in self._kept:
                return self._kept[key]
        if self._folder is None:
            return None
        try:
            data = json.loads(self._path(self._folder, key).read_text(encoding="utf-8"))
            found = cast(Answer, from_json(self._kind, data))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._keep(key, found)
        return found

    def put(self, key: str, found: Answer) -> None:
        """Keep an answer; where the disk is full, until this process ends."""
        self._keep(key, found)
        if self._folder is None:
            return
        path = self._path(self._folder, key)
        part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(to_json(found)), encoding="utf-8")
            part.replace(path)

    def drop(self, key: str) -> None:
        """Forget what is in memory."""
        with self._guard:
            self._kept.pop(key, None)

    def _keep(self, key: str, found: Answer) -> None:
        with self._guard:
            self._kept[key] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.json"
