"""Sample run of this installation: begun when nobody measures, stopped as soon as somebody does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.errors import CoreError
from core.records import LIVE, ExperimentSpec, Run, RunProgress, State
from core.runs import queue, sample_run
from core.runs.holdings import NOBODY
from core.runs.installation import Installation
from core.workspace.data import Data
from core.workspace.models import Models

UNDONE = (State.CANCELLED, State.INTERRUPTED)


class SampleRun:
    """The one run that belongs to nobody. Thread-safe."""

    def __init__(
        self,
        installation: Installation,
        models: Models,
        data: Data,
        new_run: Callable[[ExperimentSpec, str], Run],
    ) -> None:
        """Nothing is started.

        Args:
            installation: what all rooms share.
            models: where the sample is.
            data: where its images are.
            new_run: notes a question of an owner as a run.
        """
        self._at, self._models, self._data, self._new_run = installation, models, data, new_run
        self._beginning = threading.Lock()

    def run(self) -> Run | None:
        """The run as it is; None before it was begun."""
        found = self._at.store.runs(NOBODY)
        return queue.observed(self._at.home, found[0]) if found else None

    def begin(self) -> bool:
        """Begin it or go on with it, in a thread of its own, unless somebody measures.

        Returns:
            Whether it is still to come: wanted, and neither done nor failed.
        """
        run = self.run()
        comes = run is None or run.progress.state in (*LIVE, *UNDONE)
        if not comes or not sample_run.is_wanted():
            return False
        if self._beginning.acquire(blocking=False):
            threading.Thread(target=self._begin, daemon=True).start()
        return True

    def _begin(self) -> None:
        store = self._at.store
        try:
            run = self.run()
            if (run is not None and run.progress.state not in UNDONE) or self._is_any_live():
                return
            run = run or self._noted()
            store.set_cancelled(run.id, False)
            store.set_progress(run.id, RunProgress(State.QUEUED))
            queue.launch(self._at.home, run.id, gently=True)
        except CoreError:  # there is the record that ships with Lathe
            return
        finally:
            self._beginning.release()

    def _is_any_live(self) -> bool:
        """Whether some run, of anybody, is being worked on: one that says so may be dead."""
        return any(
            queue.is_alive(self._at.home, run_id, progress)
            for run_id, _, _, _, progress in self._at.store.live()
        )

    def _noted(self) -> Run:
        model = self._models.sample(sample_run.MODEL)
        calibration, evaluation = self._data.samples()
        asked = sample_run.question(model.digest, calibration.digest, evaluation.digest)
        return self._new_run(asked, NOBODY)

    def step_aside(self) -> None:
        """Stop it at once: whoever asks for a run goes first. What it measured is kept."""
        for line in self._at.store.lines(NOBODY):
            if line.progress.state in LIVE:
                self._at.store.set_cancelled(line.id, True)
                queue.stop(self._at.home, line.id)
                self._at.store.set_progress(line.id, RunProgress(State.CANCELLED))
