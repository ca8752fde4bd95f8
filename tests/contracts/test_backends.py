"""What every backend promises before it runs anything: asked of the whole catalogue."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from pathlib import Path

import pytest

from core import backends
from core.backends import base
from core.backends.base import catalogue, offered, parse
from core.errors import BackendUnavailable
from core.measure import METRICS, Setting
from core.measure.verify import REFERENCE
from core.records import Host
from core.records.targets import DEFAULT_PRECISION

BACKENDS = sorted(catalogue())
OFFERED = offered()
COUNTS = {"parameters", "macs", "nodes"}
UNITS = {"_ms": "ms", "_bytes": "B", "_db": "dB", "_delta": "points", "_ratio": "x"}


def test_every_file_is_a_backend():
    folder = Path(backends.__file__).parent
    files = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert {n for n in files if not n.startswith(("base", "__"))} == set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_it_explains_itself(name: str):
    backend = catalogue()[name]
    module = importlib.import_module(f"core.backends.{name}")
    assert backend.label
    assert backend.about.endswith(".")
    assert backend.arithmetic
    assert (module.__doc__ or "").strip()
    assert inspect.getdoc(type(backend))
    assert backend.remedy or backend.facts.internal
    assert len(set(backend.precisions)) == len(backend.precisions) > 0


@pytest.mark.parametrize("name", OFFERED)
def test_its_card_has_nothing_to_hide(name: str):
    """What int8 does there; the package with its size, its licence and its command."""
    backend = catalogue()[name]
    assert backend.facts.int8_does.endswith("."), "BackendFacts.int8_does: one sentence"
    package = backend.facts.package
    assert package is not None, "BackendFacts.package: name, size on disk, licence"
    assert package.licence
    assert (Path(backends.__file__).parents[2] / backend.remedy.split(" -r ")[1]).is_file()
    try:
        files = importlib.metadata.distribution(package.name).files or ()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package.name} is not installed: its size is not counted")
    size = sum(Path(str(file.locate())).stat().st_size for file in files if ".pyc" not in str(file))
    assert package.size_bytes == pytest.approx(size, rel=0.25)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_it_computes_in_unasked_is_what_rows_leave_unsaid(name: str):
    """A row of `name` and one of `name:f32` are the same question."""
    assert catalogue()[name].precisions[0] == DEFAULT_PRECISION
    assert parse(name) == (name, DEFAULT_PRECISION)
    target = Host("cpu", (), 1, "os").target(f"{name}:{DEFAULT_PRECISION}")
    assert target.spec == name


def test_labels_tell_backends_apart():
    assert len({catalogue()[name].label for name in BACKENDS}) == len(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_it_is_here_with_a_version_or_says_how_to_get_it(name: str):
    backend, missing = catalogue()[name], None
    try:
        assert backend.version()
    except BackendUnavailable as error:
        missing = error
    assert missing.remedy if missing else backend.device()


@pytest.mark.parametrize("name", [n for n in BACKENDS if not catalogue()[n].facts.internal])
def test_what_is_not_installed_is_unavailable_with_its_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    def missing(distribution: str) -> str:
        raise base.importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(base.importlib.metadata, "version", missing)
    with pytest.raises(BackendUnavailable) as raised:
        catalogue()[name].version()
    assert "pip install" in raised.value.remedy


@pytest.mark.parametrize("name", BACKENDS)
def test_a_setting_names_backend_and_precision(name: str):
    for precision in catalogue()[name].precisions:
        assert parse(f"{name}:{precision}") == (name, precision)
    assert Setting.of(name).options.precision == catalogue()[name].precisions[0]


@pytest.mark.parametrize("spec", ["nonsense", "openvino:f64", "opencv:bf16", "", ":f32"])
def test_a_setting_that_does_not_exist_is_unavailable(spec: str):
    with pytest.raises(BackendUnavailable):
        Setting.of(spec)


def test_the_reference_is_a_backend():
    assert REFERENCE in catalogue()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_a_unit_that_its_name_tells(name: str):
    metric = METRICS[name]
    assert metric.name == name
    if name in COUNTS:
        assert metric.unit == ""
        return
    assert metric.unit
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            assert metric.unit == unit
