"""Layer times for a staircase, on demand: a page asks, looks again, and may stop it."""

from __future__ import annotations

import functools
from pathlib import Path

from core import timings
from core.errors import CoreError, StoreError, no_room
from core.measure import Setting
from core.measure import staircase as clock
from core.pipeline.client import Workshop
from core.recipes import canonical
from core.records import Staircase, StaircaseQuestion, StaircaseState, to_json
from core.runs.builds import code_digest
from core.runs.home import Home
from core.runs.latency_curve import staircase, wanted
from core.runs.on_demand import OnDemand, Shelf, Step, Turns, key_of
from core.timings import Chain, LayerTimes

KEPT = 64
RETRY_S = 60.0  # after a child died of a ladder
Ladder = tuple[Chain, ...]
Drawn = tuple[Staircase | None, int]


class StairTimes:
    """Questions are measured in turns; any may be looked at. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        self._tables = Tables(home.caches / "layer_times")
        self._thinking = Turns(wanted=lambda: False)  # a second or two: not behind measurements
        shelf: Shelf[Ladder] = Shelf(Ladder, home.caches / "ladders", KEPT)
        self._ladders = OnDemand(self._thinking, shelf, child_died_s=RETRY_S)
        self._timings: OnDemand[None] = OnDemand(turns)
        self._drawn: Shelf[Drawn] = Shelf(Drawn, most=KEPT)

    def look(self, question: StaircaseQuestion, model: Path) -> StaircaseState:
        """How far the question is answered; never waits.

        The shapes of the layers are worked out in the background when they are first asked for.
        """
        try:
            rungs = self._ladders.ask(_key(question), functools.partial(_ladder, question, model))
        except CoreError as error:
            return StaircaseState(reasons={"": error.message})
        now = self._timings.standing(_turn(question))
        busy, reasons = bool(now.ahead), dict(now.reasons)
        if rungs is None:
            return StaircaseState(running=now.is_running, busy=busy, reasons=reasons)
        found, missing = [], 0
        for backend in question.backends:
            drawn, lacking = self._drawn_on(backend, rungs, question, reasons)
            found += [drawn] if drawn is not None else []
            missing += lacking
        pace = now.done, now.total, now.eta_s
        return StaircaseState(tuple(found), missing, now.is_running, *pace, busy, reasons)

    def measure(self, question: StaircaseQuestion, model: Path, visitor: str = "") -> None:
        """Time what is missing, in its turn."""
        work = functools.partial(self._measure, question, model)
        self._timings.ask(_turn(question), work, visitor)

    def stop(self, question: StaircaseQuestion) -> None:
        """Stop timing; the rows so far are kept."""
        self._timings.stop(_turn(question))

    def close(self) -> None:
        """Begin nothing more."""
        self._thinking.close()

    def _measure(self, question: StaircaseQuestion, model: Path, step: Step) -> None:
        with Workshop() as workshop:
            try:
                work = functools.partial(_ladder, question, model, workshop=workshop)
                chains = wanted(self._ladders.now(_key(question), work))
            except CoreError as error:
                step.lacks("", error.message)
                return
            lacking = {b: self._lacking(b, question, chains, step) for b in question.backends}
            total, before = sum(lacking.values()), 0
            step.count(0, total)
            for backend, count in lacking.items():
                step.check()
                if count:
                    self._time(backend, question, chains, workshop, step, (before, total))
                before += count

    def _lacking(
        self, backend: str, question: StaircaseQuestion, chains: Ladder, step: Step
    ) -> int:
        try:
            table = self._tables.read(self._tables.path(backend, question.threads))
        except CoreError as error:
            step.lacks(backend, error.message)
            return 0
        return sum(table is None or chain not in table for chain in chains)

    def _time(
        self,
        backend: str,
        question: StaircaseQuestion,
        chains: Ladder,
        workshop: Workshop,
        step: Step,
        progress: tuple[int, int],
    ) -> None:
        before, total = progress

        def told(done: int, _: int) -> None:
            step.count(before + done, total)

        try:
            setting = Setting.of(backend, question.threads)
            path = self._tables.path(backend, question.threads)
            clock.measure(chains, setting, path, workshop.micro_models, told, step.cancelled)
        except CoreError as error:
            step.lacks(backend, error.message)
        except OSError as error:
            if (full := no_room(error)) is None:
                raise
            step.lacks(backend, full.reason)

    def _drawn_on(
        self, backend: str, rungs: Ladder, question: StaircaseQuestion, reasons: dict[str, str]
    ) -> Drawn:
        """The staircase of one backend, or how many layers it lacks."""
        try:
            path = self._tables.path(backend, question.threads)
        except CoreError as error:
            reasons[backend] = error.message
            return None, 0
        drawing = f"{_key(question)} {path} {_age(path)}"
        if (known := self._drawn.get(drawing)) is not None:
            return known
        chains, table = wanted(rungs), self._tables.read(path)
        if table is None or not rungs or not rungs[0]:
            return None, 0 if backend in reasons else len(chains)
        lacking = sum(chain not in table for chain in chains)
        drawn = staircase(rungs, question.stops, table)
        answer = drawn if len(drawn.stairs) > 1 and drawn.layers else None, lacking
        self._drawn.put(drawing, answer)
        return answer


class Tables:
    """The tables of layer times on disk, read again only where one has grown."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._read: dict[Path, tuple[int, LayerTimes | None]] = {}
        self._paths: dict[tuple[str, int], Path] = {}

    def read(self, path: Path) -> LayerTimes | None:
        """The table as it is on disk; None where there is none."""
        age = _age(path)
        known = self._read.get(path)
        if known is not None and known[0] == age:
            return known[1]
        try:
            table = timings.load(path)
        except StoreError:
            table = None
        self._read[path] = (age, table)
        return table

    def path(self, backend: str, threads: int) -> Path:
        """The file of a backend's table; what names it does not change while the server runs.

        Raises:
            BackendUnavailable: it is not installed.
        """
        if (backend, threads) not in self._paths:
            setting = Setting.of(backend, threads)
            self._paths[backend, threads] = clock.cache_path(self._folder, setting)
        return self._paths[backend, threads]


def _ladder(
    question: StaircaseQuestion, model: Path, _: Step, workshop: Workshop | None = None
) -> Ladder:
    """The shapes of the layers at each stop, by this workshop or one of its own."""
    if workshop is not None:
        return workshop.ladder(model, question.recipes)
    with Workshop() as own:
        return own.ladder(model, question.recipes)


def _turn(question: StaircaseQuestion) -> str:
    """The name of a question's turn."""
    return f"stairs {_key(question)} {question.backends} {question.threads}"


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _key(question: StaircaseQuestion) -> str:
    """Of the layers' shapes, which no backend changes."""
    return key_of(
        question.model, [to_json(canonical(r.steps)) for r in question.recipes], code_digest()
    )
