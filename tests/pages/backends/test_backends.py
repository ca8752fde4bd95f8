"""The Backends screen: what is here, what is missing, what the machine can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.charts import builders
from tests.pages import fake_workspace
from tests.pages.screen import clean, markup, page, stock, words


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


def test_what_is_here_has_version_device_and_arithmetic(fake):
    said = words(clean(page("backends").run()))
    assert "Installed (3)" in said
    for part in ("ONNX Runtime", "1.32", "f32, bf16", "Device: CPU"):
        assert part in said


def test_what_is_missing_has_its_command(fake):
    test = clean(page("backends").run())
    assert "Not installed (1)" in words(test)
    assert [code.value for code in test.code] == ["pip install ncnn"]


def test_the_machine_is_described(fake, monkeypatch):
    monkeypatch.setattr(fake.runs, "host", lambda: builders.HOST)
    test = clean(page("backends").run())
    assert "AMD EPYC 9354" in words(test)
    assert "avx512\\_vnni" in words(test) or "avx512_vnni" in words(test)
    assert test.info[0].value
    assert "1.32.0" in set(test.dataframe[0].value["version"])


def test_hostile_text_of_a_backend_stays_text(fake, monkeypatch):
    evil = replace(fake_workspace.BACKENDS[0], label=builders.HOSTILE, version="<b>")
    monkeypatch.setattr(fake.runs, "backends", lambda: (evil,))
    assert not markup(clean(page("backends").run()))
