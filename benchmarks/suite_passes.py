"""Every pass over every model of an ONNX suite script's cases, as the program runs it.

    python -m benchmarks.suite_passes PATH_TO_SUITE.py [--passes int8 int4 ...] [--part 1/2]

The suite script supplies `cases`, `datasets`, `relight`, `sess`, `run` and `cmp`. Each pass runs
alone through the same runner as in the program, without calibration images, and is compared with
the original on the suite's own inputs. Per model and pass:

- equal: changed, and the outputs are the same (exact passes) or as near as `field` asks for;
- same: nothing was changed, and the outputs are the same;
- undone: the verification took the step back, for a reason that does not blame the model;
- refused: the model or the step, with a reason;
- skip: the runtime cannot run the original, or its outputs are random;
- WRONG: anything else. Each model has a process of its own.
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import os
import signal
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from benchmarks.field import EXACT, LEAST_DB, PASSES, decibels
from benchmarks.prune_suite import KINDS, load_suite, read
from core import graph as graphs
from core.calibration.services import NoServices
from core.errors import CoreError
from core.pipeline import runner
from core.records import Recipe

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
          "Multinomial", "Dropout"}  # fmt: skip
BLAMES = ("defect", "specification")
TIMEOUT_S = 180
Row = tuple[str, str, str]  # pass, result, why


def judged(suite: ModuleType, kind: str, where: Any, passes: list[str]) -> Iterator[Row]:
    """The result of each pass on one model."""
    proto = read(suite, kind, where)
    try:
        original = suite.sess(proto, False)
        feeds = [ins for ins, _ in suite.datasets(where, proto)]
        before = [suite.run(original, copy.deepcopy(ins)) for ins in feeds]
    except Exception as failure:
        yield from ((name, "skip", str(failure)[:90]) for name in passes)
        return
    if {node.op_type for node in proto.graph.node} & RANDOM and not _repeats(suite, proto, feeds):
        yield from ((name, "skip", "random") for name in passes)
        return
    try:
        graph = graphs.parse(proto.SerializeToString(), "model")
    except CoreError as refusal:
        yield from ((name, "refused", refusal.message[:120]) for name in passes)
        return
    for name in passes:
        yield name, *_passed(suite, name, graph, feeds, before)


def _repeats(suite: ModuleType, proto: onnx.ModelProto, feeds: list[Any]) -> bool:
    """Whether the model gives the same twice."""
    runs = [[suite.run(suite.sess(proto, False), ins) for ins in feeds] for _ in range(2)]
    return all(
        suite.cmp(a, b, 1e-6, 1e-6)[0] != "!"
        for one, other in zip(*runs, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _passed(
    suite: ModuleType, name: str, graph: Any, feeds: list[Any], before: list[Any]
) -> tuple[str, str]:
    try:
        result, reports = runner.apply(graph, Recipe(name, (PASSES[name],)), NoServices())
    except CoreError as refusal:
        blames = any(word in refusal.message for word in BLAMES)
        return ("WRONG" if blames else "refused"), refusal.message[:160]
    (report,) = reports
    if report.reverted:
        blames = any(word in report.reverted for word in BLAMES)
        return ("WRONG" if blames else "undone"), report.reverted[:160]
    made = onnx.ModelProto.FromString(graphs.serialize(result))
    onnx.checker.check_model(made)
    session = suite.sess(made, True)
    exact = name in EXACT or not report.changed
    for ins, wanted in zip(feeds, before, strict=True):
        # ONNX Runtime writes the running statistics of a training BatchNormalization to its inputs.
        for a, b in zip(wanted, suite.run(session, copy.deepcopy(ins)), strict=True):
            why = _off(suite, a, b, exact, LEAST_DB.get(name))
            if why:
                return "WRONG", f"{report.changed} changed, {why}"
    return ("equal", f"{report.changed} changed") if report.changed else ("same", "")


def _off(suite: ModuleType, a: Any, b: Any, exact: bool, least_db: float | None) -> str:
    """Why an output is too far off; empty where it is not."""
    if exact:
        largest = max((float(np.abs(np.asarray(x, np.float64)).max(initial=0)) for x in _flat(a)),
                      default=0.0)  # fmt: skip
        verdict, detail = suite.cmp(a, b, 1e-3, max(1e-5, 1e-4 * min(largest, 1e30)))
        return str(detail) if verdict == "!" else ""
    found = decibels(a, b)
    return f"{found:.0f} dB" if least_db is not None and not found >= least_db else ""


def _flat(value: Any) -> list[Any]:
    """The numeric tensors of an output."""
    if isinstance(value, list):
        return [x for one in value for x in _flat(one)]
    known = np.asarray(value)
    if known.dtype.kind not in "fiub":
        return []
    return [np.where(np.isfinite(known), known, 0) if known.dtype.kind == "f" else known]


def in_child(suite: ModuleType, kind: str, where: Any, passes: list[str]) -> list[Row]:
    """`judged` in a process of its own: a crash or a hang is the rows that are missing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(TIMEOUT_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with os.fdopen(writer, "w") as pipe:
            current = iter(passes)
            try:
                for row in judged(suite, kind, where, passes):
                    next(current, "")
                    pipe.write(json.dumps(row) + "\n")
                    pipe.flush()
            except BaseException as failure:
                said = f"{type(failure).__name__}: {str(failure)[:160]}"
                pipe.write(json.dumps((next(current, ""), "WRONG", said)) + "\n")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        rows = [tuple(json.loads(line)) for line in pipe]
    status = os.waitpid(pid, 0)[1]
    if status:
        rows.append((passes[min(len(rows), len(passes) - 1)], "WRONG", f"died: status {status}"))
    return rows  # type: ignore[return-value]


def main() -> int:
    """Run the suite and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("suite")
    parser.add_argument("--passes", nargs="+", default=list(PASSES), choices=list(PASSES))
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--part", default="1/1", help="which of how many equal parts")
    options = parser.parse_args()
    suite, start = load_suite(options.suite), time.perf_counter()
    part, parts = map(int, options.part.split("/"))
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for index, (kind, name, where) in enumerate(suite.cases(options.kinds.split(","))):
        if index % parts != part - 1:
            continue
        for which, result, why in in_child(suite, kind, where, options.passes):
            table[which][result] += 1
            if result in {"WRONG", "undone"} or (result == "refused" and kind != "node"):
                print(result, which, kind, name, why, flush=True)
    for which, counts in table.items():
        print(f"{which:12s} {sum(counts.values()):5d} {dict(counts)}")
    wrong = sum(counts["WRONG"] for counts in table.values())
    print(f"WRONG {wrong}, {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
