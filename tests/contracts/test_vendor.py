"""Vendored files are those that their NOTICE names, with the text of their licence."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[2] / "static" / "vendor"
FOLDERS = sorted(folder for folder in VENDOR.iterdir() if folder.is_dir())
PAPERS = {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_shipped_is_what_the_notice_says(folder: Path):
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    shipped = [file for file in folder.iterdir() if file.name not in PAPERS]
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in shipped}
    assert set(re.findall(r"\b[0-9a-f]{64}\b", notice)) == digests
    assert all(file.name in notice for file in shipped)
    assert re.search(r"version|\d+\.\d+\.\d+", notice)
    assert "Permission is hereby granted" in (folder / "LICENSE").read_text(encoding="utf-8")
