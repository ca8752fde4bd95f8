"""What every file format holds to."""

from __future__ import annotations

import pytest

from core.backends.base import catalogue as backends
from core.backends.base import label, parse, reads
from core.errors import BackendUnavailable, UnsupportedFormat
from core.formats.base import catalogue, exported
from core.formats.base import label as format_label
from core.formats.base import parse as format_of


@pytest.mark.parametrize("name", catalogue())
def test_a_format_describes_itself(name: str):
    kind = catalogue()[name]
    assert kind.label
    assert kind.about.endswith(".")
    assert kind.file.endswith(kind.suffix)
    assert next(iter(kind.variants)) == ""
    assert all(kind.variants.values())
    assert kind.half <= {*kind.variants}


@pytest.mark.parametrize("form", exported())
def test_what_is_exported_is_found_by_its_name(form: str):
    kind, variant = format_of(form)
    assert kind.exporter is not None
    remedy = ""
    try:
        assert kind.exporter.version()
    except BackendUnavailable as error:  # its tool is an extra
        remedy = error.remedy
    assert not remedy or remedy.startswith("pip install -r requirements/")
    assert variant in kind.variants
    assert format_label(form).startswith(kind.label)


@pytest.mark.parametrize("form", ["openvino_ir.no", "none", "openvino_ir.fp16.fp16", ""])
def test_what_is_no_format_is_said(form: str):
    with pytest.raises(UnsupportedFormat):
        format_of(form)


@pytest.mark.parametrize("name", backends())
def test_a_backend_reads_formats_that_there_are(name: str):
    accepted = backends()[name].accepts
    assert accepted
    for form in accepted:
        assert reads(f"{name}@{form}") == form
        assert form in catalogue()
    assert reads(name) == accepted[0]
    with pytest.raises(BackendUnavailable, match="does not read"):
        reads(f"{name}@none")


def test_a_format_stands_behind_name_and_precision():
    spec = "openvino:bf16@openvino_ir.fp16"
    assert parse(spec) == ("openvino", "bf16")
    assert reads(spec) == "openvino_ir.fp16"
    assert label(spec) == "OpenVINO bf16 (openvino_ir.fp16)"
