"""What every task promises, whatever it decodes: asked of the whole catalogue."""

from __future__ import annotations

import importlib
import inspect

import pytest

from core.data import KINDS
from core.metrics.base import catalogue as metrics
from core.records import TensorSpec
from core.tasks.base import FALLBACK, Signature, Task, catalogue, task_of


@pytest.mark.parametrize("name", catalogue())
def test_every_task_keeps_its_promises(name: str):
    task = catalogue()[name]
    assert isinstance(task, Task)
    assert set((*task.metrics, task.primary, task.stand_in)) <= set(metrics())
    assert (importlib.import_module(f"core.tasks.{name}").__doc__ or "").strip()
    if task.metrics:
        assert task.metrics[0] == task.primary
        assert metrics()[task.primary].paired
        assert not metrics()[task.primary].relative
    assert metrics()[task.stand_in].relative


@pytest.mark.parametrize("name", catalogue())
def test_a_task_explains_itself(name: str):
    task = catalogue()[name]
    assert task.label
    assert task.outputs
    assert task.annotations in ("", *KINDS)
    assert bool(task.annotations) == bool(task.metrics)
    assert inspect.getdoc(type(task)) != inspect.getdoc(Task)


def test_labels_and_annotations_tell_tasks_apart():
    known = catalogue().values()
    assert len({task.label for task in known}) == len(known)
    scored = [task.annotations for task in known if task.annotations]
    assert len(set(scored)) == len(scored)


def test_what_is_nobodys_is_compared_as_numbers():
    odd = TensorSpec("y", "string", ("N", 2, 3, 4, 5))
    assert task_of(Signature((), (odd,))) is catalogue()[FALLBACK]
