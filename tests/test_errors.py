"""Errors cross a process by their code."""

from __future__ import annotations

import pytest

from core import errors


@pytest.mark.parametrize("kind", [errors.InvalidModel, errors.WorkerTimeout, errors.StoreError])
def test_an_error_is_rebuilt_from_its_code(kind):
    original = kind("what happened", "what to do")
    again = errors.from_code(original.code, original.message, original.remedy)
    assert (type(again), str(again), again.remedy) == (kind, "what happened", "what to do")


def test_a_code_of_another_version_becomes_the_root():
    assert type(errors.from_code("FromTheFuture", "m")) is errors.CoreError
