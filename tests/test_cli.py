"""The command line: files in, files and JSON out; bad input is one line, status 2, no file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.backends.base import catalogue as backends
from core.cli import main
from core.cli.main import parser
from core.cli.recipe import read_recipe
from core.devices.local import Child
from core.errors import BackendUnavailable, PassPrecondition
from core.formats.base import exported, parse
from core.passes.base import build, catalogue, parameters
from core.pipeline import start
from core.records import ExperimentSpec, Recipe, Step, to_json
from core.runs.store import Store
from core.workspace import Workspace
from tests.builders import graph, kinds, norm, run, same, weights_of


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


Lathe = Callable[..., Answer]


@pytest.fixture
def lathe(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch) -> Lathe:
    monkeypatch.setenv("LATHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(status, said.out, said.err)

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made = graph(
        """(float[N,3,8,8] image) => (float[N,6] scores) {
            c = Conv <pads=[1,1,1,1]> (image, w) n = BatchNormalization (c, s, t, m, v)
            r = Relu (n) e = Conv <pads=[1,1,1,1]> (r, w2) p = GlobalAveragePool (e)
            f = Flatten (p) scores = Gemm <transB=1> (f, u, k)
        }""",
        w=(16, 3, 3, 3), w2=(8, 16, 3, 3), u=(6, 8), k=(6,), **norm(16),
    )  # fmt: skip
    graphs.save(made, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    return tmp_path / "images.npz"


# inspect


def test_inspect_says_what_the_model_is(lathe: Lathe, model: Path):
    answer = lathe("inspect", model, "--json")
    assert answer.status == 0
    stages = {"reading the file", "checking the graph", "inferring shapes"}  # of a slow machine
    assert set(answer.err.splitlines()) <= {f"lathe: {stage}" for stage in stages}
    found = answer.json
    parameters_ = 16 * 27 + 4 * 16 + 8 * 16 * 9 + 6 * 8 + 6
    assert (found["name"], found["opset"], found["batch_norms"]) == ("net.onnx", 17, 1)
    assert found["parameters"] == parameters_
    assert found["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["N", 3, 8, 8]}]
    assert found["size_bytes"] == pytest.approx(model.stat().st_size, rel=0.1)
    assert found["macs"] >= 64 * (16 * 27 + 8 * 16 * 9) + 48
    assert "path" not in found
    assert next(layer["op_type"] for layer in found["layers"] if layer["macs"]) == "Conv"


def test_inspect_speaks_to_people_too(lathe: Lathe, model: Path):
    answer = lathe("inspect", model)
    assert answer.status == 0
    assert answer.out.startswith("net.onnx  opset 17")
    assert "batch norms 1" in answer.out
    assert "input   image float32 [N, 3, 8, 8]" in answer.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.out)


def test_inspect_freezes_dimensions(lathe: Lathe, model: Path):
    answer = lathe("inspect", model, "--freeze", "N=4", "--json")
    assert answer.json["inputs"][0]["shape"] == [4, 3, 8, 8]


def test_inspect_takes_a_preprocessing(lathe: Lathe, model: Path, tmp_path: Path):
    (tmp_path / "p.json").write_text('{"color": "bgr", "scale": 1.0}')
    answer = lathe("inspect", model, "--preprocess", tmp_path / "p.json", "--json")
    assert answer.json["preprocess"]["color"] == "bgr"
    assert answer.json["preprocess"]["std"] == [1.0]


def test_a_name_from_outside_cannot_drive_the_terminal(lathe: Lathe, tmp_path: Path):
    made = graph("(float[N,6] x) => (float[N,6] y) { [node] y = MatMul (x, w) }", w=(6, 6))
    next(iter(made.graph)).name = "\x1b[31mred\x07"
    graphs.save(made, tmp_path / "net.onnx")
    answer = lathe("inspect", tmp_path / "net.onnx")
    assert answer.status == 0
    assert not set("\x1b\x07") & set(answer.out)


# optimize


def test_optimize_writes_a_model_that_computes_the_same(lathe: Lathe, model: Path, tmp_path: Path):
    answer = lathe("optimize", model, "-o", tmp_path / "out.onnx", "--fold-bn", "--json")
    assert answer.status == 0, answer.err
    found = answer.json
    before, after = graphs.load(model), graphs.load(tmp_path / "out.onnx")
    assert "BatchNormalization" not in kinds(after)
    same(before, after)
    assert (found["before"]["batch_norms"], found["after"]["batch_norms"]) == (1, 0)
    assert found["digest"] == graphs.digest(tmp_path / "out.onnx")
    (step,) = found["steps"]
    assert step["step"]["pass_name"] == "fold_batch_norm"
    assert (step["changed"], step["reverted"]) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (["--fold-bn"], ["fold_batch_norm"]),
        (["--fold-batch-norm"], ["fold_batch_norm"]),
        (["--replace", "spatial-svd:1.5"], ["replace_convolutions"]),
        (["--prune", "0.5", "--fold-bn"], ["fold_batch_norm", "prune_channels"]),
        (["--fp16"], ["convert_precision"]),
        (["--quantize", "dynamic"], ["quantize_dynamic"]),
        (["--prune-weights", "ratio=0.3", "pattern=unstructured"], ["prune_weights"]),
        (["--simplify", "--fp16", "--fold-bn"], ["simplify", "fold_batch_norm",
                                                 "convert_precision"]),
    ],
)  # fmt: skip
def test_options_become_a_recipe_in_its_order(lathe: Lathe, model, tmp_path, arguments, steps):
    answer = lathe("optimize", model, "-o", tmp_path / "out.onnx", "--json", *arguments)
    assert answer.status == 0, answer.err
    found = answer.json
    assert [step["pass_name"] for step in found["recipe"]["steps"]] == steps
    assert not any(step["reverted"] for step in found["steps"])
    run(graphs.load(tmp_path / "out.onnx"))


def asked(text: str):
    return parser().parse_args(["optimize", "m.onnx", "-o", "o.onnx", "--quantize", text])


@pytest.mark.parametrize(
    ("text", "params"),
    [("int8:0.5points", {"goal": "within_points", "points": 0.5}),
     ("int8:3ms", {"goal": "within_ms", "milliseconds": 3}), ("int8", {"goal": "safe"})],
)  # fmt: skip
def test_the_limit_of_a_quantization_is_read(text: str, params: dict):
    (step,) = read_recipe(asked(text)).steps
    assert (step.pass_name, step.params) == ("quantize_int8", params)


@pytest.mark.parametrize("text", ["int9", "int8:points", "int4:3ms", "int8:3", "int8:900points"])
def test_a_limit_that_is_none_is_refused(text: str):
    with pytest.raises(PassPrecondition, match=r"takes one of|lies between"):
        read_recipe(asked(text))


def test_parameters_reach_the_pass(lathe: Lathe, model: Path, tmp_path: Path):
    out = tmp_path / "out.onnx"
    answer = lathe(
        "optimize", model, "-o", out, "--prune-weights", "ratio=0.25", "exclude=", "--json"
    )
    assert answer.json["recipe"]["steps"][0]["params"] == {"ratio": 0.25, "exclude": []}
    weight = weights_of(graphs.load(out))["w2"]
    assert (weight == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_static_quantization_takes_images(lathe: Lathe, model: Path, images: Path, tmp_path: Path):
    answer = lathe(
        "optimize", model, "-o", tmp_path / "out.onnx", "--fold-bn", "--quantize", "int8-stock",
        "--calibration", images, "--json",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    assert "QuantizeLinear" in kinds(graphs.load(tmp_path / "out.onnx"))
    assert answer.json["after"]["size_bytes"] > 0


def test_a_recipe_file_is_the_recipe_of_the_answer(lathe: Lathe, model: Path, tmp_path: Path):
    recipe = Recipe("mine", (Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.5})))
    (tmp_path / "r.json").write_text(json.dumps(to_json(recipe)))
    arguments = ("optimize", model, "-o", tmp_path / "a.onnx", "--recipe", tmp_path / "r.json")
    first = lathe(*arguments, "--json").json
    assert first["recipe"] == to_json(recipe)
    (tmp_path / "again.json").write_text(json.dumps(first["recipe"]))
    again = lathe(
        "optimize", model, "-o", tmp_path / "b.onnx", "--recipe", tmp_path / "again.json", "--json"
    ).json
    assert again["digest"] == first["digest"]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.backend
@pytest.mark.parametrize("form", exported())
def test_optimize_writes_another_format(lathe: Lathe, model: Path, tmp_path: Path, form: str):
    exporter = parse(form)[0].exporter
    assert exporter is not None
    try:
        exporter.version()
    except BackendUnavailable as missing:
        pytest.skip(missing.message)
    out = tmp_path / "out.file"
    answer = lathe("optimize", model, "-o", out, "--fold-bn", "--format", form, "--json")
    told = json.loads(answer.out)
    assert answer.status == 0
    assert [Path(f).stem for f in told["files"]] == ["out"] * len(told["files"])
    assert told["format"] == form
    assert told["artifact"]["size_bytes"] == sum(Path(f).stat().st_size for f in told["files"])
    assert told["artifact"]["check"].endswith(
        " reads it, and answers as ONNX Runtime on the ONNX file."
    )


def test_an_unknown_format_is_bad_input(lathe: Lathe, model: Path, tmp_path: Path):
    answer = lathe("optimize", model, "-o", tmp_path / "o.x", "--fold-bn", "--format", "no")
    assert answer.status == 2
    assert f"There is no format 'no'; known: onnx, {', '.join(exported())}." in answer.err
    assert not (tmp_path / "o.x").exists()


def test_optimize_speaks_to_people_too(lathe: Lathe, model: Path, tmp_path: Path):
    answer = lathe("optimize", model, "-o", tmp_path / "out.onnx", "--fold-bn")
    assert "fold_batch_norm: 1 changed, 0 left alone" in answer.out
    assert answer.out.startswith("file ")


def test_a_step_that_fails_is_told_and_the_rest_is_written(
    lathe: Lathe, model: Path, tmp_path: Path
):
    out = tmp_path / "out.onnx"
    answer = lathe("optimize", model, "-o", out, "--fold-bn", "--quantize", "int8-stock", "--json")
    assert answer.status == 3
    reverted = [step["reverted"] for step in answer.json["steps"]]
    assert reverted[0] == ""
    assert "needs calibration images" in reverted[1]
    assert [step["failure"] for step in answer.json["steps"]] == ["", "PassPrecondition"]
    assert answer.json["failed"] == ["quantize_static"]
    first, last = answer.err.splitlines()
    assert "was not applied: Static quantization needs calibration images" in first
    assert last == f"lathe: {out} holds the other steps only."
    assert "BatchNormalization" not in kinds(graphs.load(out))


def test_nothing_to_do_is_no_failure(lathe: Lathe, model: Path, tmp_path: Path):
    folded, out = tmp_path / "folded.onnx", tmp_path / "out.onnx"
    assert lathe("optimize", model, "-o", folded, "--fold-bn").status == 0
    answer = lathe("optimize", folded, "-o", out, "--fold-bn")
    assert answer.status == 0
    assert answer.err == f"lathe: No step found anything to change: {out} is the original.\n"
    assert out.read_bytes() == folded.read_bytes()


def test_what_needs_more_memory_than_there_is_is_said_before_work_starts(
    lathe: Lathe, wide: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With the numbers and the remedy; steps that fit are made all the same."""
    monkeypatch.setenv("LATHE_MEMORY", "700M")
    typed = ("optimize", wide, "-o", tmp_path / "out.onnx", "--calibration", images)
    answer = lathe(*typed, "--quantize", "int8")
    assert answer.status == 2
    said = r"needs \d+\.?\d* [MG]B of memory, \d+ MB are free .*LATHE_MEMORY=\d+[GM]"
    assert re.search("int8.* was not applied: " + said, answer.err)
    assert not (tmp_path / "out.onnx").exists()
    answer = lathe(*typed, "--fold-bn", "--quantize", "int8", "--json")
    assert answer.status == 3
    assert re.search("lathe: .*int8.* will not be applied: " + said, answer.err)
    assert [step["failure"] for step in answer.json["steps"]] == ["", "NotEnoughMemory"]
    assert "BatchNormalization" not in kinds(graphs.load(tmp_path / "out.onnx"))


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A layer whose sums over its inputs alone are larger than the memory of the test."""
    made = graph(
        """(float[N,3,8,8] image) => (float[N,2] scores) {
            c = Conv <pads=[1,1,1,1]> (image, w) n = BatchNormalization (c, s, t, m, v)
            f = Flatten (n) scores = Gemm <transB=1> (f, u, k)
        }""",
        w=(128, 3, 3, 3), u=(2, 128 * 64), k=(2,), **norm(128),
    )  # fmt: skip
    graphs.save(made, tmp_path / "wide.onnx")
    return tmp_path / "wide.onnx"


# Bad input


FILES = {
    "junk.onnx": "not a model",
    "junk.json": "{",
    "list.json": "[1]",
    "melt.json": '{"name": "r", "steps": [{"pass_name": "melt"}]}',
}
BAD = {  # what is typed in the folder of net.onnx and FILES -> words of the answer
    "inspect none.onnx": "there is no such file",
    "inspect .": "there is no such file",
    "inspect junk.onnx": "not an ONNX",
    "inspect net.onnx --freeze Q=3": "Q",
    "inspect net.onnx --freeze N=0": "at least 1",
    "inspect net.onnx --freeze N=x": "DIM=SIZE",
    "inspect net.onnx --preprocess none.json": "none.json",
    "inspect net.onnx --preprocess junk.json": "junk.json",
    "inspect net.onnx --preprocess list.json": "preprocess",
    "optimize net.onnx -o out.onnx": "Nothing to do",
    "optimize net.onnx -o out.onnx --recipe none.json": "none.json",
    "optimize net.onnx -o out.onnx --recipe junk.json": "not a readable recipe",
    "optimize net.onnx -o out.onnx --recipe list.json": "not a readable recipe",
    "optimize net.onnx -o out.onnx --recipe melt.json": "melt",
    "optimize net.onnx -o out.onnx --prune-channels depth=1": "depth",
    "optimize net.onnx -o out.onnx --prune 1.5": "between",
    "optimize net.onnx -o out.onnx --replace cubes:2": "one of",
    "optimize net.onnx -o out.onnx --replace best:fast": "number",
    "optimize net.onnx -o out.onnx --prune-channels ratio=much": "number",
    "optimize net.onnx -o out.onnx --prune-channels 0.5": "name=value",
    "optimize net.onnx -o out.onnx --quantize int8-stock": "needs calibration images",
    "optimize net.onnx -o nowhere/out.onnx --fold-bn": "no such folder",
    "optimize net.onnx -o out.onnx --fold-bn --calibration none.zip": "none.zip",
    "optimize net.onnx -o out.onnx --fold-bn --calibration net.onnx": "not an image set",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_one_line_and_no_file(lathe: Lathe, model: Path, typed: str):
    for name, content in FILES.items():
        (model.parent / name).write_text(content)
    answer = lathe(*typed.split())
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("lathe: ")
    assert answer.err.count("\n") == 1
    assert BAD[typed] in answer.err
    assert "Traceback" not in answer.err
    assert not (model.parent / "out.onnx").exists()


def test_an_existing_file_is_left_alone_when_nothing_holds(lathe: Lathe, model, tmp_path: Path):
    (tmp_path / "out.onnx").write_bytes(b"precious")
    answer = lathe("optimize", model, "-o", tmp_path / "out.onnx", "--quantize", "int8-stock")
    assert answer.status == 2
    assert (tmp_path / "out.onnx").read_bytes() == b"precious"


def test_the_source_may_be_written_over(lathe: Lathe, model: Path):
    assert lathe("optimize", model, "-o", model, "--fold-bn").status == 0
    assert "BatchNormalization" not in kinds(graphs.load(model))


def test_external_data_beside_the_model_is_taken_along(lathe: Lathe, model: Path, tmp_path: Path):
    proto = onnx.load(model)
    onnx.save_model(
        proto, tmp_path / "outside.onnx", save_as_external_data=True, location="weights.bin",
        size_threshold=0,
    )  # fmt: skip
    answer = lathe("optimize", tmp_path / "outside.onnx", "-o", tmp_path / "o.onnx", "--fold-bn")
    assert answer.status == 0, answer.err
    (tmp_path / "weights.bin").unlink()
    same(graphs.load(model), graphs.load(tmp_path / "o.onnx"))


@pytest.mark.parametrize("arguments", [["--help"], ["optimize", "--help"], ["measure", "--help"]])
def test_help_explains(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert len(capsys.readouterr().out) > 200


@pytest.mark.parametrize("known", [True, False])
def test_a_child_that_was_started_in_advance_is_used_and_ended(model: Path, known: bool):
    asked = []

    class Noted(Child):
        def request(self, call: str, *rest: Any, **more: Any) -> dict[str, Any]:
            asked.append(call)
            return super().request(call, *rest, **more)

    child = Noted(start.MODULE, start.limits())
    if known:
        assert main(["inspect", str(model)], child) == 0
        assert "admit" in asked
    else:
        with pytest.raises(SystemExit):
            main(["inspect"], child)
        assert not asked
    assert not child.alive


@pytest.mark.parametrize("arguments", [[], ["melt"], ["optimize", "m.onnx"], ["inspect"]])
def test_wrong_usage_has_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


# Recipes


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_parameter_can_be_written_on_the_command_line(name: str):
    kind = catalogue()[name]
    written = [f"{p}={_text(default)}" for p, (default, _) in parameters(kind).items()]
    options = parser().parse_args(
        ["optimize", "m.onnx", "-o", "o.onnx", f"--{name.replace('_', '-')}", *written]
    )
    (step,) = read_recipe(options).steps
    assert build(step) == kind()


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


PRUNING = {
    "--prune 0.3 --prune-criterion obs --repair": {
        "ratio": 0.3, "criterion": "obs", "repair": True
    },
    "--prune 0.3 --no-repair": {"ratio": 0.3, "repair": False},
    "--budget macs:0.6": {"budget": "macs", "target": 0.6},
    "--budget latency:onnxruntime:0.7": {
        "budget": "latency", "backend": "onnxruntime", "target": 0.7
    },
    "--budget latency:openvino:0.7": {
        "budget": "latency", "backend": "openvino", "target": 0.7
    },
}  # fmt: skip


@pytest.mark.parametrize("typed", PRUNING)
def test_short_forms_of_pruning(typed: str):
    options = parser().parse_args(["optimize", "m.onnx", "-o", "o.onnx", *typed.split()])
    (step,) = read_recipe(options).steps
    assert step == Step("prune_channels", PRUNING[typed])


def test_a_budget_of_latency_is_timed_in_the_arithmetic_that_follows():
    typed = "--budget latency:onnxruntime:0.7 --quantize int8"
    options = parser().parse_args(["optimize", "m.onnx", "-o", "o.onnx", *typed.split()])
    pruning, _ = read_recipe(options).steps
    assert pruning.params["arithmetic"] == "int8"


@pytest.mark.parametrize("typed", ["0.7", "latency:0.7", "macs:onnxruntime:0.7", "macs:much"])
def test_a_budget_that_is_none_is_refused(typed: str):
    options = parser().parse_args(["optimize", "m.onnx", "-o", "o.onnx", "--budget", typed])
    with pytest.raises(PassPrecondition, match="--budget"):
        read_recipe(options)


def test_a_value_of_the_wrong_kind_is_refused():
    options = parser().parse_args(
        ["optimize", "m", "-o", "o", "--quantize-static", "per_channel=perhaps"]
    )
    with pytest.raises(PassPrecondition, match="per_channel"):
        read_recipe(options)


# backends


def test_backends_lists_what_is_here_and_what_is_missing(lathe: Lathe):
    answer = lathe("backends", "--json")
    assert (answer.status, answer.err) == (0, "")
    found = {backend["name"]: backend for backend in answer.json["backends"]}
    assert {"onnxruntime", "openvino", "opencv", "opencv_classic"} <= set(found)
    assert "null" not in found
    assert found["onnxruntime"]["version"] == backends()["onnxruntime"].version()
    for backend in found.values():
        assert bool(backend["version"]) != bool(backend["reason"])
        assert backend["label"]
    assert answer.json["host"]["cores"] >= 1


def test_devices_lists_this_machine_and_what_runs_on_it(lathe: Lathe):
    (here,) = (one for one in lathe("devices", "--json").json["devices"] if one["name"] == "local")
    described = here["described"]
    assert described["host"]["cores"] >= 1
    assert described["memory_bytes"] > 0
    found = {one["name"]: one for one in described["backends"]}
    assert found["onnxruntime"]["version"] == backends()["onnxruntime"].version()
    assert "f32" in found["onnxruntime"]["precisions"]
    text = lathe("devices").out
    assert "local: this machine." in text
    assert "memory free for a model" in text


def test_a_device_that_is_none_is_said_with_those_that_are(lathe: Lathe, model: Path):
    answer = lathe("measure", str(model), "--device", "pi5")
    assert answer.status == 2
    assert "There is no device 'pi5'; there are: local." in answer.err


def test_backends_speaks_to_people_too(lathe: Lathe):
    answer = lathe("backends")
    assert "onnxruntime" in answer.out
    assert "cores" in answer.out


def test_why_tells_layers_and_causes(lathe: Lathe, model: Path, tmp_path: Path):
    out = tmp_path / "out.onnx"
    assert lathe("optimize", model, "-o", out, "--fold-bn").status == 0
    answer = lathe("measure", model, out, "--why", "--budget-s", 0.1, "--json")
    assert answer.status == 0, answer.err
    (told,) = answer.json["causes"]
    assert (told["model"], told["baseline"]) == (str(out), str(model))
    assert told["call_before_ms"] > 0
    assert told["causes"]
    assert {"title", "text", "fix", "gain"} == set(told["causes"][0])
    row = next(layer for layer in told["layers"] if layer["kind"] == "conv 3x3")
    assert row["before_precision"] == row["after_precision"] == "f32"
    assert "causes" not in lathe("measure", model, out, "--budget-s", 0.1, "--json").json


# uploads


def test_uploads_of_the_page_are_listed_and_deleted(lathe: Lathe, tmp_path: Path, model: Path):
    workspace = Workspace.open(tmp_path / "home")
    first = workspace.models.add("=first.onnx", model.read_bytes(), "ann")
    workspace.models.add("same.onnx", model.read_bytes(), "bob")
    other = graph("(float[N,4] x) => (float[N,4] y) { y = Relu (x) }")
    second = workspace.models.add("second.onnx", graphs.serialize(other), "ann")
    run = workspace.runs._new_run(
        ExperimentSpec("t", second.digest, (), ("null",), dims={"N": 1}), "ann"
    )
    workspace.close()

    told = lathe("uploads", "--json").json
    assert {(one["owner"], one["name"]) for one in told["uploads"]} == {
        ("ann", "=first.onnx"), ("bob", "same.onnx"), ("ann", "second.onnx"),
    }  # fmt: skip
    assert told["used_bytes"] == first.size_bytes + second.size_bytes  # one file for two visitors

    refused = lathe("uploads", "--delete", second.digest[:12])
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "1 run needs second.onnx. Delete the runs first." in refused.err
    assert lathe("uploads", "--delete", "0" * 64).status == 2

    gone = lathe("uploads", "--delete", first.digest[:12], "--json").json
    assert [one["name"] for one in gone["uploads"]] == ["second.onnx"]
    assert gone["freed_bytes"] == first.size_bytes
    assert not first.path.exists()

    rest = lathe("uploads", "--delete", second.digest, "--with-runs")
    assert rest.status == 0
    assert "became free" in rest.out
    assert Store(tmp_path / "home" / "lathe.sqlite3").run(run.id) is None


# doctor


def test_the_doctor_says_which_targets_run_a_model_and_writes_what_helps(
    lathe: Lathe, tmp_path: Path
):
    net = graph(
        """(float[2,3,8,8] x) => (float[2,4,8,8] y) {
            y = com.microsoft.FusedConv <activation="Relu", pads=[1,1,1,1]> (x, w) }""",
        domains='"com.microsoft" : 1', w=(4, 3, 3, 3),
    )  # fmt: skip
    graphs.save(net, tmp_path / "net.onnx")
    said = lathe("doctor", "net.onnx", "--apply", "all", "-o", "out.onnx", "--json")
    assert said.status == 0
    assert said.json["for_all"] == ["vendor_operators"]
    known = {finding["target"]: finding for finding in said.json["findings"]}
    assert known["onnxruntime"]["as_it_is"]["fate"] == "runs"
    assert known["opencv"]["as_it_is"]["fate"] == "refused"
    assert known["opencv"]["rewritten"]["fate"] == "runs"
    assert kinds(graphs.load(tmp_path / "out.onnx")) == ["Conv", "Relu"]
    same(net, graphs.load(tmp_path / "out.onnx"))


def test_the_doctor_refuses_what_it_cannot_apply(lathe: Lathe, model: Path):
    assert "go together" in lathe("doctor", model, "--apply", "all").err
    assert lathe("doctor", model, "-o", "x.onnx").status == 2
