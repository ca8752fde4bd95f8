"""The bench: a child that answers short questions about models, started when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.pipeline.client import Workshop


class Bench:
    """A workshop that starts when it is first needed. Thread-safe."""

    def __init__(self, start: Callable[[], Workshop] = Workshop) -> None:
        """Nothing is started yet; `start` will make the workshop."""
        self._start = start
        self._lock = threading.Lock()
        self._workshop: Workshop | None = None

    def get(self) -> Workshop:
        """The workshop."""
        with self._lock:
            if self._workshop is None:
                self._workshop = self._start()
            return self._workshop

    def close(self) -> None:
        """End it."""
        with self._lock:
            if self._workshop is not None:
                self._workshop.close()
                self._workshop = None
