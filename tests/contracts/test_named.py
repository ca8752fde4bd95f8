"""Every module of core is named by a test, or stands below with the test that holds it, and why."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import core
import tests

CORE, TESTS = Path(core.__file__).parent, Path(tests.__file__).parent

ALL = "*"
# (room, its modules or all of them, the test that runs them, why they have none of their own)
HELD = (
    ("records", ALL, "test_records.py", "passive records: round trips, and what 0.1.0 stored"),
    (
        "wording",
        ALL,
        "contracts/test_wording.py",
        "templates, each held to the notes in the sources",
    ),
    ("cli", ALL, "test_cli.py", "commands are asked as a user asks them"),
    ("backends", ALL, "backends/test_every_backend.py", "the same cases for every member"),
    (
        "metrics",
        ALL,
        "contracts/test_metrics.py",
        "promises of every member; numbers: tests/metrics",
    ),
    ("tasks", ALL, "contracts/test_tasks.py", "promises of every member; outputs: tests/tasks"),
    ("", "__main__", "test_cli.py", "starts the command line"),
    ("pipeline", "__main__", "pipeline/test_workshop.py", "the child's entry"),
    ("runs", "__main__", "runs/test_queue.py", "the child's entry"),
    ("worker", "__main__", "backends/test_every_backend.py", "the child's entry"),
    ("", "catalogue", "contracts/test_new_kinds.py", "finds one new member of each kind"),
    ("devices.local", "facts", "devices/local/test_device.py", "facts of the device"),
    ("devices.local", "wire", "devices/local/test_child.py", "the child's end of the line"),
    (
        "analysis",
        "arithmetic_rules layout_rules stretch_rules",
        "analysis/test_channels.py",
        "rules of the channel map",
    ),
    ("analysis", "labels reshape_labels", "analysis/test_channels.py", "labels of the channel map"),
    ("analysis", "run_time_sizes", "analysis/test_channels.py", "what the channel map cannot see"),
    ("analysis", "values", "analysis/test_channels.py", "labelled values of the channel map"),
    ("calibration", "image_statistics", "calibration/test_ort_runner.py", "answers of Calibration"),
    ("calibration", "no_data", "compress/quantization/test_data_free.py", "answers of Unseen"),
    (
        "charts",
        "accuracy asides conditions latency",
        "charts/test_figures.py",
        "figures are drawn whole",
    ),
    (
        "compress.autodiff",
        "backward_graph vjp_elementwise vjp_layers vjp_layout",
        "compress/refit/test_choice.py",
        "gradients of nets, by differences",
    ),
    (
        "compress.decomposition",
        "layer_statistics separable",
        "passes/test_replace_convolutions.py",
        "through the pass",
    ),
    (
        "compress.distill",
        "augment losses norms",
        "compress/distill/test_fine_tune.py",
        "through a training",
    ),
    (
        "compress.distill.operators",
        "call layers layout padding pointwise pools resizing",
        "compress/distill/test_network.py",
        "operators, against ONNX Runtime",
    ),
    ("compress.folding", "rewrite rules", "passes/test_fold_batch_norm.py", "through the pass"),
    (
        "compress.narrowing",
        "conversion rules",
        "passes/test_convert_precision.py",
        "through the pass",
    ),
    (
        "compress.quantization",
        "activation_16bit constants gptq_sequential image_budget needs",
        "passes/test_quantize_int8.py",
        "through the pass",
    ),
    (
        "compress.quantization.stock",
        "partition",
        "passes/test_quantize_static.py",
        "through the pass",
    ),
    ("compress.refit", "sums_file", "compress/refit/test_kept.py", "what a refit keeps"),
    (
        "data",
        "admission archive arrays opening pictures size_proposals synthetic",
        "data/test_sets.py",
        "through `open_set` and `admit`, the room's doors",
    ),
    (
        "data.annotations",
        "class_numbers",
        "data/test_annotations.py",
        "through `open_set` and `admit`, the room's doors",
    ),
    (
        "formats.ncnn",
        "attributes batch interface net tail",
        "formats/ncnn/test_writer.py",
        "through the writer, against ONNX Runtime",
    ),
    (
        "formats.onnx",
        "functions tensors validate",
        "hostile/test_uploads.py",
        "through the gate, by files that lie",
    ),
    (
        "graph",
        "mapped normalise opset shapes silence values",
        "graph/test_files.py",
        "through `load`, `save` and `infer_shapes`, the room's doors",
    ),
    (
        "measure.explain",
        "gains integer structure view",
        "measure/test_profile.py",
        "through `explain`",
    ),
    (
        "package",
        ALL,
        "package/test_python.py",
        "every program is run as it is downloaded",
    ),
    (
        "passes.fine_tune",
        "memory",
        "contracts/test_passes.py",
        "parts of a pass: run by the pass's own test",
    ),
    ("passes.adapt", ALL, "passes/test_adapt.py", "each rewrite on its graphs"),
    (
        "passes.prune_channels",
        "choice integer_kernels reporting",
        "contracts/test_passes.py",
        "parts of a pass: run by the pass's own test",
    ),
    (
        "passes.quantize_int8",
        "data_free equalising saying",
        "contracts/test_passes.py",
        "parts of a pass: run by the pass's own test",
    ),
    ("pipeline", "comparison", "pipeline/test_verification.py", "through verification"),
    ("pipeline", "preview", "pipeline/test_workshop.py", "a request to the workshop"),
    (
        "runs",
        "bench comparison devices holdings incoming",
        "workspace/test_workspace.py",
        "through the workspace, its only door",
    ),
    (
        "runs.on_demand",
        "engine shelf",
        "workspace/test_workspace.py",
        "through the workspace, its only door",
    ),
    (
        "runs.store",
        "bookmarks database listing results",
        "workspace/test_workspace.py",
        "through the workspace, its only door",
    ),
    (
        "workspace",
        "forecasts formats passes",
        "workspace/test_workspace.py",
        "words of forms and commands",
    ),
)


def dotted(file: Path) -> str:
    """The name of a module below core."""
    return ".".join(file.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__")


def has_code(file: Path) -> bool:
    """Whether something is defined here, and not only gathered."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)
    return defines or file.name != "__init__.py"


MODULES = [dotted(file) for file in sorted(CORE.rglob("*.py")) if has_code(file)]


def named() -> set[str]:
    """Modules that a test imports."""
    found = set()
    for file in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name.removeprefix("core.") for name in found if name.startswith("core.")}


def has_its_own(module: str) -> bool:
    """Whether the test that mirrors its path is there."""
    *room, name = module.split(".")
    return TESTS.joinpath(*room, f"test_{name}.py").exists()


def held(room: str, names: str) -> list[str]:
    """Modules without a test of their own that an entry of the list speaks of."""
    if names == ALL:
        return [one for one in UNNAMED if one == room or one.startswith(f"{room}.")]
    return [f"{room}.{name}".lstrip(".") for name in names.split()]


UNNAMED = sorted({m for m in MODULES if not has_its_own(m)} - named())


@pytest.mark.parametrize("room", sorted({module.partition(".")[0] for module in MODULES}))
def test_every_module_is_named_by_a_test_or_says_why_not(room: str):
    known = {module for where, names, _, _ in HELD for module in held(where, names)}
    left = [m for m in UNNAMED if m.partition(".")[0] == room and m not in known]
    assert not left, "write a test of its own, or say in HELD which one runs it"


@pytest.mark.parametrize(("room", "names", "test", "why"), HELD)
def test_what_stands_in_the_list_is_needed_and_true(room: str, names: str, test: str, why: str):
    assert why
    assert (TESTS / test).exists()
    assert held(room, names)
    assert {*held(room, names)} <= {*UNNAMED}, "these have tests of their own now"
