"""Nodes that stand in the way of a target: those that its message names, those that fail alone.

A message mostly names one node, or one operator; the first one met. So every kind of node is also
loaded and run by itself, on the values that it has in the whole model.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from core.devices.local import Scratch
from core.errors import BackendUnavailable, CoreError
from core.formats.base.artifacts import Artifacts
from core.measure.attempt import Answers, judged
from core.measure.verify import BOUNDS
from core.records import Fate, Obstacle, SingleNode, Singles
from core.records.artifacts import ONNX
from core.worker.client import Cancelled, Worker
from core.worker.setting import Setting

CPU_S = 20.0  # of one node
WALL_S = 60.0  # of all nodes on one target
SHORTEST = 3  # letters of a name that can be looked for in a sentence
LONGEST = 300  # letters of a reason
CAMEL = re.compile(r"[a-z]+[A-Z]|[A-Z]{2}")


def named(message: str, nodes: Sequence[tuple[str, str]]) -> tuple[Obstacle, ...]:
    """Nodes that a message names; where it names none, those of the operators that it names.

    Args:
        message: of a converter or a runtime.
        nodes: name and operator of every node of the model.
    """
    found = [
        Obstacle(name, operator, "")
        for name, operator in nodes
        if len(name) >= SHORTEST and _holds(message, name)
    ]
    return tuple(found) or tuple(
        Obstacle(name, operator, "") for name, operator in nodes if _says(message, operator)
    )


def alone(
    singles: Singles, target: str, artifacts: Artifacts, cancelled: Callable[[], bool]
) -> tuple[Obstacle, ...]:
    """Nodes that a target does not take, or gets wrong, by themselves.

    Where each would have to be converted, one node of every operator is asked about. After a minute
    what was found until then is all.
    """
    try:
        setting = Setting.of(target)
    except CoreError:
        return ()
    asked = singles.apart
    if setting.reads != ONNX:
        asked = tuple({single.operator: single for single in reversed(asked)}.values())[::-1]
    return tuple(_asked(asked, setting, artifacts, cancelled))


def _asked(
    asked: Sequence[SingleNode],
    setting: Setting,
    artifacts: Artifacts,
    cancelled: Callable[[], bool],
) -> Iterator[Obstacle]:
    """One worker for all; a node that ends it is told, and the next one gets a new one."""
    worker: Worker | None = None
    end = time.monotonic() + WALL_S

    def over() -> bool:
        return time.monotonic() >= end

    with Scratch() as folder:
        try:
            for single in asked:
                if worker is None or not worker.alive:
                    worker = Worker(None, lambda: over() or cancelled(), artifacts)
                out = folder / "outputs.npz"
                reason = _failure(worker, single, setting, out)
                if reason is None:
                    return
                for node in single.nodes if reason else ():
                    yield Obstacle(node, single.operator, reason, alone=True)
        except Cancelled:
            if not over():
                raise
        finally:
            if worker is not None:
                worker.close()


def _failure(worker: Worker, single: SingleNode, setting: Setting, out: Path) -> str | None:
    """Why a node fails alone; empty where it does not, None where the runtime is not here."""
    try:
        worker.run_file(
            single.model, setting, single.outputs, single.feeds, single.inputs, 1, out, CPU_S
        )
    except BackendUnavailable:
        return None
    except CoreError as error:
        return " ".join(error.message.split())[:LONGEST]
    wanted, given = (_read(path, single) for path in (single.answers, out))
    attempt = judged(wanted, given, BOUNDS["f32"])
    return attempt.reason if attempt.fate is Fate.WRONG else ""


def _read(path: Path, single: SingleNode) -> Answers:
    with np.load(path, allow_pickle=False) as arrays:
        return {spec.name: (arrays[f"0_{i}"],) for i, spec in enumerate(single.outputs)}


def _holds(message: str, name: str) -> bool:
    """Whether a name stands in a message as a whole, not as a part of a longer one."""
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", message) is not None


def _says(message: str, operator: str) -> bool:
    """Whether a message names an operator: in quotes or brackets, or where it is no plain word."""
    plain = operator.rpartition(".")[2]
    if CAMEL.search(plain):
        return _holds(message, plain)
    return re.search(rf"""['"\[`]{re.escape(plain)}['"\]`@]""", message) is not None
