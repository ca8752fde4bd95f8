"""A small graph written for ncnn, run there and held to ONNX Runtime."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from core import graph as graphs
from core.backends.base import Tensors
from core.backends.ncnn import BACKEND
from core.errors import CoreError
from core.formats.ncnn import FORMAT
from core.records import RunOptions
from tests.builders import feeds, graph

LONGEST_S = 30
IMAGE = "(float[N,4,9,7] x) => (float[N,?,?,?] y)"
ONE_IMAGE = "(float[1,4,9,7] x) => (float[1,?,?,?] y)"
ROWS = "(float[N,5,6] x) => (float[N,?,?] y)"
ERROR = 1e-4  # of the largest number: ncnn's exponentials are polynomials of float32


def written(folder: Path, text: str, opset: int = 17, variant: str = "", **weights: Any) -> Path:
    """The .onnx of a graph, and beside it ncnn's files."""
    path = folder / "net.onnx"
    graphs.save(graph(text, opset, **weights), path)
    FORMAT.exporter.export(path, variant, folder)  # type: ignore[union-attr]
    return path


def held(
    folder: Path, text: str, opset: int = 17, error: float = ERROR, at_least: float = 0.0,
    variant: str = "", **weights: Any,
) -> str:  # fmt: skip
    """Hold ncnn to ONNX Runtime on random inputs; the .param, for a look at the layers.

    Args:
        folder: for the files.
        text: of the graph.
        opset: of its operators.
        error: allowed, as a share of the largest number.
        at_least: what is added to the size of the inputs, where only positive ones make sense.
        variant: of the format.
        weights: as `tests.builders.graph` takes them.
    """
    path = written(folder, text, opset, variant, **weights)
    given = feeds(graphs.load(path))
    given = {name: np.abs(value) + at_least if at_least else value for name, value in given.items()}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path.read_bytes(), options)
    names = [output.name for output in session.get_outputs()]
    wanted = dict(zip(names, session.run(None, given), strict=True))
    got = run(folder, given)
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        assert got[name].shape == array.shape
        assert got[name].dtype == array.dtype
        scale = max(float(np.abs(array[np.isfinite(array)]).max(initial=0)), 1e-3)
        np.testing.assert_allclose(got[name], array, rtol=error, atol=error * scale)
    return (folder / "model.param").read_text()


class Runner:
    """A child that runs what was written, since ncnn may end the process that it is in."""

    def __init__(self) -> None:
        """Started with the first question, and again after one that ended it."""
        self._child: Any = None
        self._pipe: Any = None

    def ask(self, *question: Any) -> Any:
        """Its answer.

        Raises:
            AssertionError: the child ended, or hangs.
            CoreError: as ncnn's backend.
        """
        if self._child is None or not self._child.is_alive():
            spawn = multiprocessing.get_context("spawn")
            self._pipe, theirs = spawn.Pipe()
            self._child = spawn.Process(target=_answers, args=(theirs,), daemon=True)
            self._child.start()
            theirs.close()
        self._pipe.send(question)
        if not self._pipe.poll(LONGEST_S):
            self._child.kill()
            self._child.join()
            raise AssertionError(f"ncnn took more than {LONGEST_S} s")
        try:
            found = self._pipe.recv()
        except EOFError:
            self._child.join()
            raise AssertionError(f"ncnn ended with {self._child.exitcode}") from None
        if isinstance(found, CoreError):
            raise found
        return found


RUNNER = Runner()


def run(folder: Path, given: Tensors, threads: int = 1) -> Tensors:
    """What ncnn makes of the files in a folder."""
    return RUNNER.ask(folder / "model.param", given, threads)


def _answers(pipe: Connection) -> None:
    while True:
        try:
            model, given, threads = pipe.recv()
        except EOFError:
            return
        try:
            session = BACKEND.load(model, RunOptions(threads))
            pipe.send(session.run(given))
            session.close()
        except CoreError as error:
            pipe.send(error)


def layers(text: str) -> list[str]:
    """The types of the layers of a .param."""
    return [line.split()[0] for line in text.splitlines()[2:]]
