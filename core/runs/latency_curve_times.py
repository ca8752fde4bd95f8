"""Layer times for a staircase, in the background: a page asks, looks again, and may stop it."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core import timings
from core.errors import CoreError, StoreError, no_room
from core.measure import Setting
from core.measure import staircase as clock
from core.pipeline.client import Workshop
from core.records import Staircase, StaircaseQuestion, StaircaseState, from_json, to_json
from core.runs.builds import code_digest
from core.runs.home import Home
from core.runs.latency_curve import staircase, wanted
from core.runs.turns import Check, Turns
from core.timings import Chain, LayerTimes

KEPT = 64
Ladder = tuple[Chain, ...]
Drawn = tuple[Staircase | None, int]


@dataclass
class _Timing:
    """What is being timed now, or was last."""

    question: StaircaseQuestion
    total: int = 0
    done: int = 0
    begun_s: float = 0.0
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def eta_s(self) -> float | None:
        """Seconds left, by those that went by since the first layer was begun."""
        if not self.done or not self.begun_s:
            return None
        return (time.monotonic() - self.begun_s) / self.done * (self.total - self.done)


class StairTimes:
    """Questions are measured in turns; any may be looked at. Thread-safe."""

    def __init__(self, home: Home, turns: Turns) -> None:
        """Nothing starts before it is asked for; `turns` may be shared with other work."""
        self._ladders = home.caches / "ladders"
        self._tables = home.caches / "layer_times"
        self._turns = turns
        self._guard = threading.Lock()
        self._working = threading.Lock()
        self._thinking: threading.Thread | None = None
        self._timings: dict[str, _Timing] = {}
        self._known: dict[str, Ladder] = {}
        self._refused: dict[str, str] = {}
        self._read: dict[Path, tuple[int, LayerTimes | None]] = {}
        self._drawn: dict[tuple[str, Path, int], Drawn] = {}
        self._paths: dict[tuple[str, int], Path] = {}

    def look(self, question: StaircaseQuestion, model: Path) -> StaircaseState:
        """How far the question is answered; never waits.

        The shapes of the layers are worked out in the background when they are first asked for.
        """
        key = _key(question)
        rungs = self._ladder(key, question, model)
        turn = _turn(question)
        with self._guard:
            if key in self._refused:
                return StaircaseState(reasons={"": self._refused[key]})
            now = self._timings.get(turn)
        ahead = self._turns.before(turn)
        if ahead is not None:
            self._turns.still(turn)
        running, waits = ahead == 0, bool(ahead)
        reasons = dict(now.reasons) if now is not None else {}
        if rungs is None:
            return StaircaseState(running=running, busy=waits, reasons=reasons)
        found, missing = [], 0
        for backend in question.backends:
            drawn, lacking = self._drawn_on(backend, key, rungs, question, reasons)
            found += [drawn] if drawn is not None else []
            missing += lacking
        state = StaircaseState(tuple(found), missing, running, busy=waits)
        if now is not None:
            state = replace(state, done=now.done, total=now.total, eta_s=now.eta_s)
        return replace(state, reasons=reasons)

    def measure(self, question: StaircaseQuestion, model: Path, visitor: str = "") -> None:
        """Time what is missing, in its turn."""
        turn = _turn(question)
        with self._guard:
            if self._turns.before(turn) is None:
                while len(self._timings) >= KEPT:
                    self._timings.pop(next(iter(self._timings)))
                self._timings[turn] = _Timing(question)
            now = self._timings[turn]
        self._turns.ask(turn, visitor, functools.partial(self._measure, now, model))

    def stop(self, question: StaircaseQuestion) -> None:
        """Stop timing; the rows so far are kept."""
        self._turns.withdraw(_turn(question))

    def _measure(self, now: _Timing, model: Path, check: Check) -> None:
        now.done, now.begun_s = 0, 0.0
        with Workshop() as workshop:
            try:
                rungs = self._worked_out(_key(now.question), now.question, model, workshop)
            except CoreError as error:
                now.reasons[""] = error.message
                return
            chains = wanted(rungs)
            lacking = {b: self._lacking(b, now, chains) for b in now.question.backends}
            now.total = sum(lacking.values())
            before = 0
            for backend, count in lacking.items():
                check()
                if count:
                    self._time(backend, now, chains, workshop, before, check)
                before += count

    def _lacking(self, backend: str, now: _Timing, chains: Ladder) -> int:
        try:
            table = self._table(self._path(backend, now.question.threads))
        except CoreError as error:
            now.reasons[backend] = error.message
            return 0
        return sum(table is None or chain not in table for chain in chains)

    def _time(
        self,
        backend: str,
        now: _Timing,
        chains: Ladder,
        workshop: Workshop,
        before: int,
        check: Check,
    ) -> None:
        def told(done: int, total: int) -> None:
            now.begun_s = now.begun_s or time.monotonic()
            now.done = before + done

        try:
            setting = Setting.of(backend, now.question.threads)
            path = self._path(backend, now.question.threads)
            clock.measure(chains, setting, path, workshop.micro_models, told, _asked(check))
        except CoreError as error:
            now.reasons[backend] = error.message
        except OSError as error:
            if (full := no_room(error)) is None:
                raise
            now.reasons[backend] = full.reason

    def _drawn_on(
        self,
        backend: str,
        key: str,
        rungs: Ladder,
        question: StaircaseQuestion,
        reasons: dict[str, str],
    ) -> Drawn:
        """The staircase of one backend, or how many layers it lacks."""
        try:
            path = self._path(backend, question.threads)
        except CoreError as error:
            reasons[backend] = error.message
            return None, 0
        chains = wanted(rungs)
        memo = (key, path, _age(path))
        if memo in self._drawn:
            return self._drawn[memo]
        table = self._table(path)
        if table is None or not rungs or not rungs[0]:
            return None, 0 if backend in reasons else len(chains)
        lacking = sum(chain not in table for chain in chains)
        drawn = staircase(rungs, question.stops, table)
        answer = drawn if len(drawn.stairs) > 1 and drawn.layers else None, lacking
        with self._guard:
            while len(self._drawn) >= KEPT:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[memo] = answer
        return answer

    def _table(self, path: Path) -> LayerTimes | None:
        """The table as it is on disk; read again only where it has grown."""
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

    def _path(self, backend: str, threads: int) -> Path:
        """The file of a backend's table; what names it does not change while the server runs."""
        if (backend, threads) not in self._paths:
            setting = Setting.of(backend, threads)
            self._paths[backend, threads] = clock.cache_path(self._tables, setting)
        return self._paths[backend, threads]

    def _ladder(self, key: str, question: StaircaseQuestion, model: Path) -> Ladder | None:
        """What is known of the layers' shapes; None while they are being worked out."""
        with self._guard:
            if key in self._known:
                return self._known[key]
        if (kept := self._kept(key)) is not None:
            return kept
        with self._guard:
            busy = self._thinking is not None and self._thinking.is_alive()
            if not busy and key not in self._refused:
                work = functools.partial(self._think, key, question, model)
                self._thinking = threading.Thread(target=work, daemon=True)
                self._thinking.start()
        return None

    def _think(self, key: str, question: StaircaseQuestion, model: Path) -> None:
        try:
            with Workshop() as workshop:
                self._worked_out(key, question, model, workshop)
        except CoreError as error:
            with self._guard:
                self._refused[key] = error.message

    def _worked_out(
        self, key: str, question: StaircaseQuestion, model: Path, workshop: Workshop
    ) -> Ladder:
        with self._working:  # a look and a measurement may ask at once: the second finds it done
            if (kept := self._kept(key)) is not None:
                return kept
            found = workshop.ladder(model, question.recipes)
            path = self._ladders / f"{key}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{threading.get_ident()}.part")
            scratch.write_text(json.dumps(to_json(found)), encoding="utf-8")
            scratch.replace(path)
            return self._remembered(key, found)

    def _kept(self, key: str) -> Ladder | None:
        try:
            text = (self._ladders / f"{key}.json").read_text(encoding="utf-8")
            return self._remembered(key, from_json(tuple[Chain, ...], json.loads(text)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remembered(self, key: str, found: Ladder) -> Ladder:
        with self._guard:
            while len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        return found


def _turn(question: StaircaseQuestion) -> str:
    """The name of a question's turn."""
    return f"stairs {_key(question)} {question.backends} {question.threads}"


def _asked(check: Check) -> Callable[[], bool]:
    """`check` as a question: True where it would raise."""

    def cancelled() -> bool:
        check()
        return False

    return cancelled


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _key(question: StaircaseQuestion) -> str:
    """Of the layers' shapes, which no backend changes."""
    facts = [question.model, [to_json(r.steps) for r in question.recipes], code_digest()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
