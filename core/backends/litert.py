"""LiteRT (TensorFlow Lite) on the CPU: XNNPACK's kernels, and its own for what XNNPACK leaves.

The interpreter hands as much of the graph as it can to XNNPACK, part by part; the parts are counted
and what was left is named, since each border costs time. It reads .tflite files only. Its threads
are XNNPACK's, and are counted where the system tells which threads a process has. LiteRT's Python
interface has no profiler: layers are not timed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.backends.base import Tensors, cores, installed
from core.errors import BackendUnavailable, InferenceFailed
from core.records import BackendFacts, Int8Facts, Package, RunOptions

TASKS = Path("/proc/self/task")  # one entry for each thread of this process
DELEGATE = "DELEGATE"
SHOWN = 3  # kinds of operators that a line names


class LiteRtSession:
    """One interpreter with XNNPACK, its tensors allocated."""

    precision = "f32"  # half precision is XNNPACK's only where a file or a flag asks for it
    spins = False

    def __init__(self, model: Path, options: RunOptions) -> None:
        """Read `model` and let XNNPACK take what it can.

        Raises:
            InferenceFailed: LiteRT does not take the file.
            BackendUnavailable: it does not take the number of threads.
        """
        from ai_edge_litert.interpreter import Interpreter

        threads = cores(options.threads)
        before = _threads_here()
        try:
            self._interpreter: Any = Interpreter(str(model), num_threads=threads)
            self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner()
            self._inputs = dict(signature.get_input_details())
            self._outputs = {
                name: found["index"] for name, found in signature.get_output_details().items()
            }
        except (ValueError, RuntimeError) as error:
            raise InferenceFailed(f"LiteRT could not load it: {_words(error, model)}") from error
        self.spins = threads > 1
        self.settings = self._read_back(threads, before)

    def _read_back(self, threads: int, before: int | None) -> Mapping[str, str]:
        """What decides its times: threads, parts that XNNPACK took, and what it left."""
        operators = self._interpreter._get_ops_details()  # the only place that tells
        parts = [one for one in operators if one["op_name"] == DELEGATE]
        here = _threads_here()
        if parts and before is not None and here is not None and threads > 1:
            started = here - before + 1
            if started < threads:
                raise BackendUnavailable(f"LiteRT uses {started} threads, not {threads}.")
        return {
            "threads": str(threads),
            "XNNPACK": _parts(len(parts)),
            "left to LiteRT": _left(operators, parts),
        }

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name.

        Raises:
            InferenceFailed: LiteRT's words, or an input of another size than the file's.
        """
        self._give(feeds)
        self._invoke()
        return {name: self._interpreter.get_tensor(at) for name, at in self._outputs.items()}

    def sample(self, feeds: Tensors, runs: int) -> tuple[int, ...]:
        """Nanoseconds of each run, as LiteRT's benchmark_model takes them: inputs lie ready.

        Raises:
            InferenceFailed: LiteRT's words.
        """
        times = []
        for _ in range(runs):
            self._give(feeds)
            start = time.perf_counter_ns()
            self._invoke()
            times.append(time.perf_counter_ns() - start)
        return tuple(times)

    def _give(self, feeds: Tensors) -> None:
        for name, wanted in self._inputs.items():
            value = feeds.get(name)
            if value is None:
                raise InferenceFailed(f"LiteRT lacks its input {name!r}.")
            shape = tuple(int(size) for size in wanted["shape"])
            if value.shape != shape:
                raise InferenceFailed(
                    f"The .tflite file was made for {name} of shape {shape}, not {value.shape}."
                )
            try:
                self._interpreter.set_tensor(wanted["index"], value)
            except (ValueError, RuntimeError) as error:
                raise InferenceFailed(f"LiteRT does not take {name}: {error}") from error

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise InferenceFailed(f"LiteRT could not run it: {error}") from error

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None


def _threads_here() -> int | None:
    """Threads of this process; None where the system does not tell."""
    try:
        return sum(1 for _ in TASKS.iterdir())
    except OSError:
        return None


def _parts(count: int) -> str:
    if not count:
        return "took nothing"
    return "one part" if count == 1 else f"{count} parts"


def _left(operators: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]) -> str:
    """Kinds of operators that run in LiteRT's own kernels."""
    taken = {number for part in parts for number in _taken(operators, part)}
    kept = [
        str(one["op_name"])
        for number, one in enumerate(operators)
        if number not in taken and one["op_name"] != DELEGATE
    ]
    if not kept:
        return "nothing"
    counted = Counter(kept).most_common()
    shown = [f"{count} {name}" if count > 1 else name for name, count in counted[:SHOWN]]
    rest = sum(count for _, count in counted[SHOWN:])
    return ", ".join([*shown, *([f"{rest} more"] if rest else [])])


def _taken(operators: Sequence[Mapping[str, Any]], part: Mapping[str, Any]) -> set[int]:
    """Numbers of the operators inside of a part: the list holds them beside the part itself."""
    makers = {
        int(tensor): number
        for number, one in enumerate(operators)
        if one["op_name"] != DELEGATE
        for tensor in one["outputs"]
    }
    edge, found = {int(tensor) for tensor in part["inputs"]}, set[int]()
    waiting = [int(tensor) for tensor in part["outputs"]]
    while waiting:
        number = makers.get(waiting.pop())
        if number is None or number in found:
            continue
        found.add(number)
        sources = (int(tensor) for tensor in operators[number]["inputs"])
        waiting += [tensor for tensor in sources if tensor not in edge]
    return found


def _words(error: Exception, model: Path) -> str:
    """LiteRT's message in one line, without the path of the file."""
    text = " ".join(str(error).split()).replace(str(model), model.name)
    return text or type(error).__name__


class LiteRt:
    """XNNPACK on the CPU."""

    label = "LiteRT"
    precisions: tuple[str, ...] = ("f32",)
    remedy = "pip install -r requirements.txt"
    accepts: tuple[str, ...] = ("tflite",)
    about = "Google's runtime for Android, iOS, boards and PCs, once TensorFlow Lite."
    arithmetic = "f32; int8 (QDQ), with the integers and scales of the file"

    @property
    def facts(self) -> BackendFacts:
        """Signed codes, weights by channel; inputs of a Concat are brought to one grid if need be.

        Its sums are of 32 bits on every processor: nothing saturates.
        """
        return BackendFacts(
            "#a3369e",
            Int8Facts(signed=True),
            place=25,
            int8_does="QDQ files are written as int8 .tflite and computed in integers.",
            package=Package("ai-edge-litert", 62_000_000, "Apache-2.0"),
        )

    def version(self) -> str:
        """The installed version.

        Raises:
            BackendUnavailable: not installed.
        """
        return installed("ai-edge-litert", self.remedy)

    def device(self) -> str:
        """What it computes on."""
        return "CPU"

    def load(self, artifact: Path, options: RunOptions) -> LiteRtSession:
        """An interpreter with the threads asked for.

        Raises:
            InferenceFailed, BackendUnavailable
        """
        return LiteRtSession(artifact, options)


BACKEND = LiteRt()
