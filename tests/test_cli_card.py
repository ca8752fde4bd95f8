"""`card`: two results beside each other, and one measured again here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core import graph as graphs
from core.charts.card_file import card_file, written
from core.cli import main
from core.records import CardFile, ExperimentSpec, Recipe, Step
from core.workspace import Workspace
from tests.builders import graph, norm
from tests.charts import builders as b


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def ask(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        found = capsys.readouterr()
        return status, found.out, found.err

    return ask


def write(name: str, card: CardFile) -> str:
    Path(name).write_text(written(card), encoding="utf-8")
    return name


def test_two_cards_are_told_apart(said):
    first = card_file(b.run(), b.PRUNED)
    second = replace(card_file(b.run(), b.QUANTIZED), host=replace(b.HOST, cpu="another"))
    status, out, _ = said("card", "diff", write("a.json", first), write("b.json", second))
    assert status == 0
    assert "another, 2 cores" in out
    assert "only in A" in out
    for words in (("card", "--json", "diff"), ("card", "diff", "--json")):
        _, out, _ = said(*words, "a.json", "b.json")
        found = json.loads(out)
        assert {row["name"] for row in found["differs"]} >= {"Recipe", "Processor"}
        assert "System" in found["same"]
        sizes = [n for n in found["numbers"] if n["quantity"] == "file size"]
        assert (sizes[0]["of"], sizes[0]["change"], sizes[0]["shown"]) == (
            "recipe",
            "−63 %",
            "shown",
        )


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01", b'{"lathe_card": 1}', b"[" * 9999])
def test_what_is_no_card_is_one_line(said, content):
    Path("bad.json").write_bytes(content)
    good = write("a.json", card_file(b.run(), b.PRUNED))
    for words in (("diff", good, "bad.json"), ("rerun", "bad.json"), ("diff", "gone.json", good)):
        status, out, err = said("card", *words)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert err.startswith("lathe: ")


def test_what_a_card_needs_and_is_not_here_is_named(said):
    status, out, err = said("card", "rerun", write("a.json", card_file(b.run(), b.PRUNED)))
    assert (status, out) == (2, "")
    assert "The model is not here (SHA-256 aaaaaaaaaaaa …)" in err
    assert "The evaluation images are not here" in err
    assert "--model, --data and --calibration" in err
    assert len(err.splitlines()) == 1


def test_a_card_is_measured_again_where_its_model_is(said, tmp_path):
    net = graph(
        "(float[1,3,8,8] x) => (float[1,4,8,8] y) {"
        " a = Conv <pads=[1,1,1,1]> (x, w)  y = BatchNormalization (a, s, t, m, v) }",
        w=(4, 3, 3, 3), **norm(4),
    )  # fmt: skip
    graphs.save(net, Path("net.onnx"))
    workspace = Workspace.open(tmp_path / "first")
    try:
        model = workspace.models.add("net.onnx", Path("net.onnx"), "me")
        folded = Recipe("folded", (Step("fold_batch_norm"),))
        spec = ExperimentSpec("t", model.digest, (folded,), ("null",), latency_budget_s=0.1)
        run = workspace.runs.measure(spec, "me")
    finally:
        workspace.close()
    card = write("a.json", card_file(run, run.outcomes[-1].candidate.digest))
    assert said("card", "rerun", card)[0] == 2
    status, out, _ = said("card", "rerun", card, "--model", "net.onnx", "-o", "b.json", "--json")
    assert status == 0
    found = json.loads(out)
    assert not {row["name"] for row in found["differs"]} & {
        "Recipe",
        "Model SHA-256",
        "File SHA-256",
    }
    assert (
        json.loads(Path("b.json").read_text())["candidate"]
        == json.loads(Path(card).read_text())["candidate"]
    )
