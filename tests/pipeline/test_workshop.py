"""The workshop: what comes through the gate is the same net, and every call keeps its promise."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.devices.local import Child, memory
from core.errors import DataError, InvalidModel, WorkerError, WorkerTimeout
from core.pipeline import client, start
from core.pipeline.client import Workshop
from core.records import Preprocess, Recipe, Step

CONV = """
<ir_version: 8, opset_import: ["" : 17], producer_name: "test", producer_version: "3">
net (float[N, 3, H, 8] image) => (float[N, C, P, 8] score)
<float[8, 3, 1, 1] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6}>
{
  [same] a = Conv (image, w)
  [same] score = Relu (a)
}
"""

FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
net (float[4] x) => (float[4] y) { a = local.twice (x)  y = local.twice (a) }
<domain: "local", opset_import: ["" : 17]>
twice (p) => (q) { q = Add (p, p) }
"""

OLD = """
<ir_version: 3, opset_import: ["" : 7]>
net (float[1, 4] x, float[4] w) => (float[1, 4] y)
<float[4] w = {1, 2, 3, 4}>
{ y = Mul (x, w) }
"""

LIE = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[4] x) => (int64[4] y) { y = Relu (x) }
"""


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


def admit(shop: Workshop, tmp_path: Path, text: str):
    source = tmp_path / "source.onnx"
    source.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return shop.admit(source, "my net.onnx", tmp_path / "models")


def run(path: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def test_a_summary_says_what_the_model_is(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    assert summary.path == tmp_path / "models" / f"{summary.digest}.onnx"
    assert summary.digest == graphs.digest(summary.path)
    assert summary.size_bytes == (tmp_path / "source.onnx").stat().st_size  # the user's own file
    assert (summary.name, summary.opset, summary.producer) == ("my net.onnx", 17, "test 3")
    assert (summary.nodes, summary.parameters, summary.batch_norms) == (2, 24, 0)
    assert summary.dynamic_dims == ("N", "H")
    assert summary.inputs[0].shape == ("N", 3, "H", 8)
    assert summary.inputs[0].dtype == "float32"
    assert not summary.quantized
    assert summary.layers[0].parameters == 24
    assert "more than once" in summary.notes[0]
    again = workshop.summary(summary.path, "my net.onnx")
    assert again.layers == summary.layers
    assert again.digest == summary.digest


def test_admitting_what_was_admitted_changes_nothing(workshop: Workshop, tmp_path: Path) -> None:
    first = admit(workshop, tmp_path, CONV)
    again = workshop.admit(first.path, "again.onnx", tmp_path / "models")
    assert again.digest == first.digest
    assert again.notes == ()


@pytest.mark.parametrize(("text", "factor"), [(FUNCTIONS, 4), (OLD, np.array([1, 2, 3, 4]))])
def test_the_gate_keeps_the_function(
    workshop: Workshop, tmp_path: Path, text: str, factor: object
) -> None:
    summary = admit(workshop, tmp_path, text)
    spec = summary.inputs[0]
    assert [s.name for s in summary.inputs] == ["x"]
    x = np.arange(4, dtype=np.float32).reshape(spec.shape) + 1
    np.testing.assert_allclose(run(summary.path, {"x": x}), x * factor)
    assert summary.notes


def test_a_lie_about_the_output_is_found(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="declared as INT64 but computed as FLOAT"):
        admit(workshop, tmp_path, LIE)


def test_freeze_makes_a_new_model(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    frozen = workshop.freeze(summary.path, {"N": 2, "H": 5}, tmp_path / "models", "frozen")
    assert frozen.name == "frozen"
    assert frozen.digest != summary.digest
    assert frozen.inputs[0].shape == (2, 3, 5, 8)
    assert frozen.outputs[0].shape == (2, 8, 5, 8)
    assert frozen.macs == 24 * 5 * 8
    assert workshop.summary(summary.path).dynamic_dims == ("N", "H")
    with pytest.raises(InvalidModel, match="'Q'"):
        workshop.freeze(summary.path, {"Q": 2}, tmp_path / "models")


def test_preprocessing_is_saved_with_the_model(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    assert summary.preprocess is None
    chosen = Preprocess(color="bgr", scale=1.0, mean=(1.0, 2.0, 3.0))
    marked = workshop.set_preprocess(summary.path, chosen, tmp_path / "models")
    assert marked.preprocess == chosen
    assert workshop.summary(marked.path).preprocess == chosen
    with pytest.raises(DataError, match="channels"):
        workshop.set_preprocess(summary.path, Preprocess(color="gray"), tmp_path / "models")


def test_a_preview_counts_what_a_build_makes(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    recipe = Recipe("sparse", (Step("prune_weights", {}),))
    seen = workshop.preview(summary.path, recipe)
    outcome = workshop.build(summary.path, recipe, None, tmp_path / "models")
    assert outcome.summary is not None
    assert outcome.candidate.path.stat().st_size == outcome.summary.size_bytes
    assert outcome.candidate.digest == graphs.digest(outcome.candidate.path)
    assert seen.parameters == outcome.summary.parameters
    assert seen.macs == outcome.summary.macs
    assert [r.step for r in outcome.candidate.report] == list(recipe.steps)


def test_the_baseline_is_the_model_itself(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    outcome = workshop.build(summary.path, Recipe("baseline"), None, tmp_path / "models")
    assert outcome.candidate.path == summary.path
    assert outcome.candidate.digest == summary.digest
    preview = workshop.preview(summary.path, Recipe("baseline"))
    assert preview.exact
    assert preview.size_bytes == summary.path.stat().st_size
    assert preview.nodes == summary.nodes


def test_what_cannot_be_built_says_why(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    recipe = Recipe("sparse", (Step("prune_weights", {}),))
    data = tmp_path / "no such set"
    outcome = workshop.build(summary.path, recipe, data, tmp_path / "models")
    assert outcome.candidate is None
    assert "no such set" in outcome.reason
    assert "DataError" not in outcome.reason
    with pytest.raises(InvalidModel, match="cannot be read"):
        workshop.preview(tmp_path / "none.onnx", recipe)


def test_the_workshop_serves_threads(workshop: Workshop, tmp_path: Path) -> None:
    summary = admit(workshop, tmp_path, CONV)
    found: list[str] = []

    def ask() -> None:
        found.append(workshop.summary(summary.path).digest)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [summary.digest] * 8


def test_reading_is_bounded_by_the_file_and_work_by_what_is_free(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny file that claims to be huge gets little; a large one is never refused for its size."""
    granted: dict[str, int] = {}
    summary = admit(workshop, tmp_path, CONV)
    ask = Child.request

    def spy(child: Child, call: str, args: Any, *rest: Any) -> Any:
        granted[call] = rest[-1]
        return ask(child, call, args, *rest)

    monkeypatch.setattr(Child, "request", spy)
    monkeypatch.setattr(memory, "free_bytes", lambda *_: 100 << 30)
    workshop.summary(summary.path)
    assert granted["summary"] <= start.GATE_BYTES + client.GATE_PER_BYTE * summary.size_bytes
    workshop.build(summary.path, Recipe("fold", (Step("fold_batch_norm"),)), None, tmp_path)
    assert granted["build"] > 90 << 30
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(4 << 30)
    assert client._for_reading(large) > 10 << 30
    monkeypatch.setattr(memory, "free_bytes", lambda *_: 1 << 30)
    workshop.build(summary.path, Recipe("fold", (Step("fold_batch_norm"),)), None, tmp_path)
    assert granted["build"] < 2 << 30


@pytest.fixture
def slow_set(tmp_path: Path) -> Path:
    """A set that takes a while to take in."""
    path = tmp_path / "slow.npz"
    np.savez(path, images=np.zeros((4000, 96, 96, 3), np.uint8))
    return path


def test_time_runs_out_and_the_next_call_works(tmp_path: Path, slow_set: Path) -> None:
    with Workshop() as shop:
        summary = admit(shop, tmp_path, CONV)
        args = {"source": str(slow_set), "filename": "slow.npz", "data": str(tmp_path / "data")}
        with pytest.raises(WorkerTimeout):
            shop._child.request("admit_data", args, cpu_s=0.01)
        assert shop.summary(summary.path).digest == summary.digest


def test_closing_ends_a_call_that_waits(tmp_path: Path, slow_set: Path) -> None:
    shop = Workshop()
    summary = admit(shop, tmp_path, CONV)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            while True:
                shop.admit_data(slow_set, "slow.npz", tmp_path / "data")
        except WorkerError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    shop.close()
    thread.join(30)
    assert not thread.is_alive()
    assert len(caught) == 1
    with pytest.raises(WorkerError, match="closed"):
        shop.summary(summary.path)


CLASSIFIER = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 3, 8, 8] image) => (float[N, 3] score)
{ p = GlobalAveragePool (image)  score = Flatten (p) }
"""
PIXELS = np.zeros((4, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"images": PIXELS, "labels": np.arange(4) % 3}, ""),
        ({"images": PIXELS}, ""),
        ({"image": np.zeros((4, 3, 8, 8), np.float32)}, ""),
        ({"image": np.zeros((4, 3, 9, 8), np.float32)}, r"has the shape \[4, 3, 9, 8\]"),
        ({"image": np.zeros((4, 8, 8, 3), np.float32)}, r"takes \['N', 3, 8, 8\]"),
        ({"a": np.zeros((4, 3, 8, 8)), "b": np.zeros((4, 2))}, "no array for the input 'image'"),
        ({"images": PIXELS[..., :2]}, "2 channels"),
        ({"images": PIXELS, "labels": np.arange(4)}, "labels go from 0 to 3"),
        ({"images": PIXELS, "labels": np.array([1, 2, 3, 3])}, "subtract 1"),
    ],
)
def test_a_set_is_held_against_the_model_by_its_first_sample(
    workshop: Workshop, tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
) -> None:
    model = admit(workshop, tmp_path, CLASSIFIER)
    source = tmp_path / "set.npz"
    np.savez(source, **arrays)
    path = workshop.admit_data(source, "set.npz", tmp_path / "data").path
    if not reason:
        workshop.check_fit(model, path, "set.npz", labels=True)
        return
    with pytest.raises(DataError) as caught:
        workshop.check_fit(model, path, "set.npz", labels=True)
    assert re.search(reason, caught.value.reason), caught.value.reason
    if "label" in reason or "subtract" in reason:  # passes need none
        workshop.check_fit(model, path, "set.npz", labels=False)


def test_a_graph_and_its_layers_are_told_without_the_model(
    workshop: Workshop, tmp_path: Path
) -> None:
    summary = admit(workshop, tmp_path, CONV)
    found = workshop.topology(summary.path)
    assert [node.op_type for node in found.nodes] == ["", "Conv", "Relu", ""]
    assert len({node.name for node in found.nodes}) == 4  # of two equal names one was renamed
    layer = found.nodes[1].name
    weights = workshop.distributions(summary.path, layer, None, 4).weights
    assert weights is not None
    assert (weights.low, weights.high, weights.whole) == (1.0, 9.0, 24)
