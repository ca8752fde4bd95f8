"""Hold passes to the ONNX backend suite: one callable model -> model for each pass.

    python benchmarks/onnx_suite_check.py SUITE.py [--passes fold_batch_norm simplify ...] [-- ...]

SUITE.py takes `FILE.py:callable`, applies the callable to every model of the suite, compares the
outputs on ONNX Runtime and exits with 1 if any is WRONG; what follows `--` is handed to it. Passes
joined by `_then_` run one after the other. Nothing is verified or reverted here: the pass alone
answers for what it leaves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import graph as graphs
from core.calibration.services import NoServices
from core.passes.base import Report, build, catalogue
from core.records import Step

JOIN = "_then_"
EXACT = ("fold_batch_norm", "simplify", f"simplify{JOIN}fold_batch_norm")


def transform(names: str) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """The passes in `names`, one after the other, as a function of models."""
    steps = [build(Step(name)) for name in names.split(JOIN)]

    def run(model: onnx.ModelProto) -> onnx.ModelProto:
        graph = graphs.parse(model.SerializeToString(), "model")
        for step in steps:
            step.requires(graph)
            step.apply(graph, Report(), NoServices())
        return ir.to_proto(graph)

    return run


def __getattr__(name: str) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    if all(part in catalogue() for part in name.split(JOIN)):
        return transform(name)
    raise AttributeError(name)


def main() -> int:
    """Run the suite once for each pass; the status is that of the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--passes", nargs="+", default=list(EXACT))
    arguments, rest = parser.parse_known_args()
    worst = 0
    for name in arguments.passes:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(arguments.suite), f"{Path(__file__).resolve()}:{name}"]
        worst = max(worst, subprocess.run([*command, *(r for r in rest if r != "--")]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
