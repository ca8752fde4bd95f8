"""Prune every model of an ONNX suite script's cases and compare with its zero-masked twin.

    python -m benchmarks.prune_suite PATH_TO_SUITE.py [--ratio 0.3] [--kinds node,light-random,...]

The suite script supplies `cases`, `datasets`, `relight`, `sess`, `run` and `cmp`. Per model:
equal (pruned == masked), same (nothing to prune, unchanged), refused, skip (the runtime cannot run
the original), WRONG. Each model has a process of its own.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import os
import signal
import time
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from core.analysis.channels import channel_map
from core.analysis.surgery import mask, remove
from core.errors import CoreError
from core.passes.base import Report
from core.passes.prune_channels import PruneChannels

KINDS = "node,simple,light,light-random,pytorch-converted,pytorch-operator"


def load_suite(path: str) -> ModuleType:
    """The suite script as a module."""
    spec = importlib.util.spec_from_file_location("onnx_suite", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(suite: ModuleType, kind: str, where: Any) -> onnx.ModelProto:
    """The model of a case."""
    if not isinstance(where, str):
        return onnx.ModelProto.FromString(where.model.SerializeToString())
    model = onnx.load(where if os.path.isfile(where) else os.path.join(where, "model.onnx"))
    return suite.relight(model) if kind == "light-random" else model


def twins(proto: onnx.ModelProto, prune: PruneChannels) -> tuple[Any, Any, int]:
    """(pruned, masked, atoms removed) of a model."""
    graphs = ir.from_proto(proto), ir.from_proto(proto)
    maps = [channel_map(g) for g in graphs]
    chosen = [prune.choose(m, Report()) for m in maps]
    atoms = [{a for picked in c.values() for a in picked} for c in chosen]
    if atoms[0]:
        remove(maps[0], atoms[0])
        mask(maps[1], atoms[1])
    return ir.to_proto(graphs[0]), ir.to_proto(graphs[1]), len(atoms[0])


def evaluator(suite: ModuleType, kind: str, where: Any, prune: PruneChannels) -> tuple[str, str]:
    """(result, why) of one model."""
    proto = read(suite, kind, where)
    try:
        original = suite.sess(proto, False)
        feeds = [ins for ins, _ in suite.datasets(where, proto)]
        for ins in feeds:
            suite.run(original, ins)
    except Exception as failure:
        return "skip", str(failure)[:90]
    try:
        pruned, masked, count = twins(proto, prune)
    except CoreError as refusal:
        return "refused", str(refusal)[:90]
    if not count:
        return "same", ""
    onnx.checker.check_model(pruned)
    left, right = suite.sess(masked, False), suite.sess(pruned, True)
    worst = 0.0
    for ins in feeds:
        for a, b in zip(suite.run(left, ins), suite.run(right, ins), strict=True):
            verdict, detail = suite.cmp(a, b, 1e-4, max(1e-4 * float(np.abs(a).max()), 1e-5))
            if verdict == "!":
                return "WRONG", str(detail)
            worst = max(worst, float(detail))
    return "equal", f"{count} atoms, max abs diff {worst:.1e}"


def in_child(suite: ModuleType, kind: str, where: Any, prune: PruneChannels) -> tuple[str, str]:
    """`evaluator` in a process of its own: a crash is one row."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(180)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            row = evaluator(suite, kind, where, prune)
        except BaseException as failure:
            row = ("WRONG", f"{type(failure).__name__}: {str(failure)[:160]}")
        os.write(writer, json.dumps(row).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(pid, 0)[1]
    result, why = json.loads(data) if data else ("WRONG", f"died with status {status}")
    return result, why


def main() -> int:
    """Run the suite and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite")
    parser.add_argument("--ratio", type=float, default=0.3)
    parser.add_argument("--criterion", default="l1")
    parser.add_argument("--kinds", default=KINDS)
    options = parser.parse_args()
    suite = load_suite(options.suite)
    prune = PruneChannels(ratio=options.ratio, criterion=options.criterion, scope="all", multiple=1)
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    start = time.perf_counter()
    for kind, name, where in suite.cases(options.kinds.split(",")):
        result, why = in_child(suite, kind, where, prune)
        table[kind][result] += 1
        if result in {"WRONG", "equal"}:
            print(result, kind, name, why, flush=True)
    for kind, counts in table.items():
        print(f"{kind:18s} {sum(counts.values()):5d} {dict(counts)}")
    wrong = sum(counts["WRONG"] for counts in table.values())
    print(f"WRONG {wrong}, {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
