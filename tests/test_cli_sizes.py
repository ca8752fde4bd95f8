"""Models with open dimensions on the command line: no time without a size that stands beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.cli import main
from tests.builders import graph
from tests.data import sets

QUICK = ("--budget-s", "0.1", "--json")
OPEN = """(float[batch,3,height,width] x) => (float[batch,4] y) {
    a = Conv <pads=[1,1,1,1]> (x, w) r = Relu (a) p = GlobalAveragePool (r) y = Flatten (p)
}"""


@pytest.fixture
def lathe(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("LATHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    graphs.save(graph(OPEN, w=(4, 3, 3, 3)), tmp_path / "det.onnx")

    def call(typed: str, *more: str) -> tuple[int, str, str]:
        status = main([*typed.split(), *more])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def inputs_of(out: str) -> set[str]:
    """The shapes beside the times."""
    rows = json.loads(out)["rows"]
    timed = [r for r in rows if r["metric"] in ("latency_ms", "latency_ratio", "first_ms")]
    assert timed
    assert all(row["status"] in ("ok", "unstable") for row in timed)
    return {row["condition"]["input"] for row in timed}


@pytest.mark.parametrize(
    "typed", ["measure det.onnx", "measure det.onnx --at height=32", "measure det.onnx det.onnx"]
)
def test_without_a_size_nothing_is_measured_and_one_line_says_what_to_add(lathe, typed):
    status, out, said = lathe(typed)
    assert (status, out) == (2, "")
    assert len(said.strip().splitlines()) == 1
    assert "--at width=" in said
    assert ("--at height=" in said) == ("--at" not in typed)


@pytest.mark.backend
def test_it_is_measured_at_the_size_that_is_given_and_stays_open(lathe, tmp_path):
    before = (tmp_path / "det.onnx").read_bytes()
    status, out, _ = lathe("measure det.onnx --at height=16 --at width=24 --at batch=2", *QUICK)
    assert status == 0
    assert inputs_of(out) == {"2x3x16x24"}
    (model,) = json.loads(out)["models"]
    assert model["input"] == "2x3x16x24"
    assert model["macs"] is None
    assert (tmp_path / "det.onnx").read_bytes() == before


@pytest.mark.backend
def test_people_read_the_shape_too_and_that_macs_are_unknown(lathe):
    status, out, _ = lathe("measure det.onnx --at height=16 --at width=24 --budget-s 0.1")
    assert status == 0
    assert "1x3x16x24" in out
    assert "unknown: open shape" in out
    assert "unknown: open shape" in lathe("inspect det.onnx")[1]


@pytest.mark.backend
def test_a_frozen_file_beside_its_original_takes_the_same_line(lathe):
    sizes = "--freeze height=16 --freeze width=24"
    assert lathe(f"optimize det.onnx --fold-bn -o frozen.onnx {sizes}")[0] == 0
    status, out, said = lathe(f"measure det.onnx frozen.onnx {sizes}", *QUICK)
    assert status == 0
    assert inputs_of(out) == {"1x3x16x24"}
    assert "does not concern frozen.onnx" in said
    status, out, _ = lathe(f"measure det.onnx frozen.onnx {sizes.replace('freeze', 'at')}", *QUICK)
    assert (status, inputs_of(out)) == (0, {"1x3x16x24"})
    # The frozen file tells which size is meant.
    assert "--at height=16 --at width=24" in lathe("measure det.onnx frozen.onnx")[2]


@pytest.mark.parametrize("option", ["--at", "--freeze"])
def test_a_dimension_that_no_file_has_is_an_error(lathe, option):
    status, _, said = lathe(f"measure det.onnx {option} depth=3")
    assert status == 2
    assert "depth" in said
    assert "height, width" in said


@pytest.mark.backend
def test_images_of_one_size_state_it(lathe):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 10, 12, 3), np.uint8)
    np.savez("images.npz", images=pixels)
    status, out, said = lathe("measure det.onnx --data images.npz", *QUICK)
    assert status == 0
    assert inputs_of(out) == {"1x3x10x12"}
    assert "det.onnx is run at 1x3x10x12" in said
    status, out, _ = lathe(
        "measure det.onnx --data images.npz --at height=20 --at width=24", *QUICK
    )
    assert inputs_of(out) == {"1x3x20x24"}


def test_a_sweep_asks_too(lathe):
    Path("photos").mkdir()
    for height in (33, 40):
        photo = sets.png(np.zeros((height, 30, 3), np.uint8))
        Path(f"photos/{height}.png").write_bytes(photo)
    status, _, said = lathe("explore det.onnx --data photos")
    assert status == 2
    assert "--at height=32 --at width=32" in said


def test_lengths_are_asked_for(lathe, tmp_path):
    text = "(float[N,T,8] x) => (float[N,T,4] y) { y = MatMul (x, w) }"
    graphs.save(graph(text, w=(8, 4)), tmp_path / "seq.onnx")
    status, _, said = lathe("measure seq.onnx")
    assert (status, "--at T=128" in said) == (2, True)


@pytest.mark.backend
def test_two_question_marks_get_two_sizes(lathe, tmp_path):
    proto = onnx.load(tmp_path / "det.onnx")
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "?"
    onnx.save(proto, tmp_path / "q.onnx")
    assert "--at x:2=224 --at x:3=224" in lathe("measure q.onnx")[2]
    status, out, _ = lathe("measure q.onnx --at x:2=8 --at x:3=12", *QUICK)
    assert (status, inputs_of(out)) == (0, {"1x3x8x12"})
    told = json.loads(lathe("inspect q.onnx --json")[1])["notes"]
    assert any("x:2, x:3" in note for note in told)
