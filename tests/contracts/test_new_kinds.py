"""A pass, backend, format, device, task or metric is one file and its test, as documented."""

from __future__ import annotations

import pytest

from tests.contracts.new_kinds import KINDS, Kind, Tree, bad, good, of

pytestmark = pytest.mark.slow

CONTRACTS = [f"tests/contracts/test_{kind.room}.py" for kind in KINDS.values()]
FURTHER = [f"tests/contracts/test_{name}.py" for name in ("documents", "named", "wording")]
LACKS = (
    "test_tables_are_made_from_the_catalogues",
    "test_every_file_is_a_pass_and_every_pass_has_its_test",
    "test_every_code_has_a_sentence_and_every_sentence_a_code",
    "test_every_module_is_named_by_a_test_or_says_why_not",
)
LINKS = "tests/contracts/test_documents.py::test_links_lead_somewhere"
ELSEWHERE = {"pass": ["core/wording/unroll_powers.py"]}  # the words of its notes
SEEN = """
import dataclasses
from core.backends.base import catalogue, offered, opening
from core.calibration import targets
from core.charts import palette
from core.cli.main import parser
from core.measure import METRICS
from core.passes.base import build, catalogue as passes, parameters
from core.passes.quantize_int8.readers import readers_of, runtime_of
from core.records import Int8Facts, Step
from core.backends.base.here import backends
from core.tasks.base import order
from core.workspace.formats import exported, label
from tests.calibration.fake_services import FakeServices

(commands,) = (a for a in parser()._actions if isinstance(a.choices, dict))
options = {name for a in commands.choices["optimize"]._actions for name in a.option_strings}
assert "--unroll-powers" in options
assert "onnx_text" in exported() and label("onnx_text") == "ONNX text"
assert METRICS["depth_agreement"].unit == "%" and "depth_agreement" in order()

assert palette.color("onnx_reference:f32") == "#8a6d3b"
assert offered()[-1] == "onnx_reference"
(info,) = (one for one in backends() if one.name == "onnx_reference")
assert info.version and info.device == "CPU" and not info.reason
for name in ("prune_channels", "replace_convolutions", "quantize_int8"):
    assert "onnx_reference" in parameters(passes()[name])["backend"][1].choices, name
kind = type(catalogue()["onnx_reference"])
wide = Int8Facts(signed=True, wide=True)
kind.facts = dataclasses.replace(kind.facts, int8=wide, opening=True, place=25)
assert opening() == ("onnxruntime", "openvino", "onnx_reference", "opencv")
chosen = build(Step("quantize_int8", {"backend": "onnx_reference"}))
assert chosen._scheme().signed and chosen._scheme().target.wide
there = FakeServices()
there.runtimes["onnx_reference"] = runtime = object()
assert runtime_of(there, "onnx_reference") is runtime
assert readers_of(there, "opencv") == [runtime]
"""
MEASURED = """
import contextlib
import tempfile
from pathlib import Path

from core.devices.base import catalogue
from core.devices.local import DEVICE
from core.records import ExperimentSpec
from core.runs.comparison import compare
from core.runs.devices import devices
from core.runs.home import Home
from tests.measure.subjects import admitted, net

(board,) = (one for one in devices() if one.name == "board")
assert board.described is None and board.reason  # nothing lies behind that cable
held = []

@contextlib.contextmanager
def held_alone(self, check):
    held.append(self.label)
    yield

kind = type(catalogue()["board"])
kind.alone, kind.open = held_alone, lambda self, memory, cpu_s: DEVICE.open(memory, cpu_s)
(board,) = (one for one in devices() if one.name == "board")
assert board.described.memory_bytes and board.described.host.cores
assert "onnxruntime" in {one.name for one in board.described.backends if one.version}
folder = Path(tempfile.mkdtemp())
model = admitted(net(), folder)
asked = ExperimentSpec("", model.digest, (), ("onnxruntime",), latency_budget_s=0.3, device="board")
rows = compare(Home(folder), [("net", model)], asked, print)
assert {"latency_ms", "load_ms"} <= {row.metric for row in rows if row.value is not None}
targets = [row.target for row in rows if row.backend]
assert {one.device for one in targets} == {catalogue()["board"].facts().id}
assert all(one.version for one in targets)
assert held == ["board", "board"]
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    made = Tree.copied(tmp_path_factory.mktemp("new"), good())
    said = made.python("-m", "docs.tables")
    assert not said.returncode, said.stderr
    return made


@pytest.fixture(scope="module")
def ended(tree: Tree) -> dict[str, str]:
    own = [kind.test for kind in KINDS.values()]
    return tree.tests(*CONTRACTS, *FURTHER, *own, "--deselect", LINKS)  # to what is not copied


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree.copied(tmp_path_factory.mktemp("spoiled"), bad())


@pytest.fixture(scope="module")
def refused(spoiled: Tree) -> dict[str, str]:
    asked = " or ".join([*(kind.refused for kind in KINDS.values()), *LACKS])
    ended = spoiled.tests(*CONTRACTS, *FURTHER, "-k", asked)
    return {name: how for name, how in ended.items() if how != "passed"}


@pytest.fixture(scope="module")
def broken(spoiled: Tree) -> str:
    return spoiled.layers()


@pytest.mark.parametrize("name", KINDS)
def test_it_is_one_file_and_its_test(name: str):
    kind = KINDS[name]
    assert {kind.main, kind.test, *ELSEWHERE.get(name, ())} == {*kind.files}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_its_own_test_and_the_contracts_of_its_kind_pass(kind: Kind, ended: dict[str, str]):
    asked = of(kind, ended)
    own = [one for one in ended if one.startswith(kind.test.removesuffix(".py").replace("/", "."))]
    assert asked
    assert own
    assert {one: ended[one] for one in (*asked, *own) if ended[one] != "passed"} == {}


def test_every_other_contract_holds_as_well(ended: dict[str, str]):
    assert {name: how for name, how in ended.items() if how != "passed"} == {}


def test_tables_name_it(tree: Tree):
    documents = [tree.root / "README.md", tree.root / "docs" / "command_line.md"]
    text = "\n".join(document.read_text(encoding="utf-8") for document in documents)
    rows = ("`unroll_powers`", "`onnx_reference`", "`depth_agreement`", "depth")
    assert all(f"\n| {row} |" in text for row in rows)


def test_forms_commands_charts_and_passes_have_it(tree: Tree):
    said = tree.python("-c", SEEN)
    assert not said.returncode, said.stderr


def test_a_model_is_measured_on_a_new_device_which_is_asked_to_be_left_alone(tree: Tree):
    said = tree.python("-c", MEASURED)
    assert not said.returncode, said.stderr


def test_its_files_hold_to_style_and_layers(tree: Tree):
    said = tree.python(
        "-m", "ruff", "check", *(path for path in good() if path.startswith("core/"))
    )
    assert not said.returncode, said.stdout
    said = tree.python("-m", "ruff", "format", "--check", *good())
    assert not said.returncode, said.stderr
    assert " 0 broken." in tree.layers()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_that_does_not_explain_itself_is_refused(kind: Kind, refused: dict[str, str]):
    assert of(kind, refused, kind.refused)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_that_knows_another_is_refused(kind: Kind, broken: str):
    assert f"{kind.contract} BROKEN" in broken


@pytest.mark.parametrize("test", LACKS)
def test_one_without_row_test_or_sentence_is_refused(test: str, refused: dict[str, str]):
    assert any(name.partition("::")[2].startswith(test) for name in refused)
