"""One thread: nets this small gain nothing from more, and busy machines lose by them."""

import os

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in the workshop; read once, by PyTorch


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks for the number of cores is told 1."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
