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
    assert "Here (3)" in said
    for part in ("ONNX Runtime", "1.32", "f32, bf16", "<dt>Device</dt><dd>CPU</dd>"):
        assert part in said


def test_what_one_command_brings_says_its_size_licence_and_what_int8_does(fake):
    said = words(clean(page("backends").run()))
    assert "One command away (1)" in said
    for part in ("<code>pip install ncnn</code>", "29.0 MB", "BSD-3-Clause", "Refused."):
        assert part in said


def test_what_is_here_shows_no_command(fake, monkeypatch):
    ready = tuple(replace(info, reason="") for info in fake_workspace.BACKENDS)
    monkeypatch.setattr(fake.runs, "backends", lambda: ready)
    said = words(clean(page("backends").run()))
    assert "One command away" not in said
    assert "pip install" not in said


def test_what_files_are_made_for_and_nothing_runs_needs_a_device(fake):
    said = words(clean(page("backends").run()))
    assert "Needs a device (1)" in said
    assert said.count('class="lathe-absent"') == 2


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
