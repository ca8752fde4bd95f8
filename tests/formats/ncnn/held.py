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

ERROR = 1e-4  # of the largest number: ncnn's exponentials are polynomials of float32


def written(folder: Path, text: str, opset: int = 17, variant: str = "", **weights: Any) -> Path:
    """The .onnx of a graph, and beside it ncnn's files."""
    path = folder / "net.onnx"
    graphs.save(graph(text, opset, **weights), path)
    FORMAT.exporter.export(path, variant, folder)  # type: ignore[union-attr]
    return path


def held(
    folder: Path, text: str, opset: int = 17, error: float = ERROR, low: float = 0.0, **weights: Any
) -> str:
    """Hold ncnn to ONNX Runtime on random inputs; the .param, for a look at the layers.

    Args:
        folder: for the files.
        text: of the graph.
        opset: of its operators.
        error: allowed, as a share of the largest number.
        low: what is added to the size of the inputs, where only positive ones make sense.
        weights: as `tests.builders.graph` takes them.
    """
    path = written(folder, text, opset, **weights)
    given = feeds(graphs.load(path))
    given = {name: np.abs(value) + low if low else value for name, value in given.items()}
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
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


def run(folder: Path, given: Tensors, threads: int = 1) -> Tensors:
    """What ncnn makes of the files in a folder; in a child, since it may end its process."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=_answer, args=(theirs, folder / "model.param", given, threads))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        child.join()
        raise AssertionError(f"ncnn ended with {child.exitcode}") from None
    child.join()
    if isinstance(found, Exception):
        raise found
    return found


def _answer(pipe: Connection, model: Path, given: Tensors, threads: int) -> None:
    try:
        session = BACKEND.load(model, RunOptions(threads))
        pipe.send(session.run(given))
        session.close()
    except CoreError as error:
        pipe.send(error)


def layers(text: str) -> list[str]:
    """The types of the layers of a .param."""
    return [line.split()[0] for line in text.splitlines()[2:]]
