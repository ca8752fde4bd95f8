"""What a command prints: progress seldom enough to be read, no traceback behind `| head`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from core.cli.telling import Counter, guessed_pixels
from core.records import Preprocess
from tests.pages.fake_workspace import model
from tests.pages.optimize.test_images import LABELLED


def test_progress_is_told_at_first_seldom_and_at_the_end(capsys: pytest.CaptureFixture[str]):
    told = Counter("timing layers", every_s=3600)
    for done in range(301):
        told(done, 300)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["lathe: timing layers, 0 of 300", "lathe: timing layers, 300 of 300"]


def test_progress_goes_on_after_a_while(capsys: pytest.CaptureFixture[str]):
    told = Counter("work", every_s=0)
    for done in range(3):
        told(done, 3)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_guess_at_the_preprocessing_is_told(capsys: pytest.CaptureFixture[str]):
    guessed_pixels(model("net.onnx", preprocess=None), LABELLED)
    assert "net.onnx does not say how pixels" in capsys.readouterr().err
    guessed_pixels(model("net.onnx", preprocess=None), None)
    guessed_pixels(model("net.onnx", preprocess=None), replace(LABELLED, kind="tensors"))
    guessed_pixels(model("net.onnx", preprocess=Preprocess()), LABELLED)
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_read_enough_is_no_error():
    command = [sys.executable, "-m", "core", "backends"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (0, "")
