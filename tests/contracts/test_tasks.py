"""What every task promises, whatever it decodes: asked of the whole catalogue."""

from __future__ import annotations

import importlib
import inspect
import itertools

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


SIDES = ("N", 1, 3, 4, 6, 8, 10, 21, 64, 84)
IMAGES = (("N", 3, 64, 64), (1, 64, 64, 3), ("N", 3, "h", "w"), ("N", 10))
KINDS_OF_NUMBERS = ("float32", "float16", "uint8", "int64")
BOXES = tuple(
    TensorSpec(name, kind, ("K", *more))
    for name, kind, more in (("boxes", "float32", (4,)), ("labels", "int64", ()),
                             ("scores", "float32", ()))
)  # fmt: skip


def forms():
    """Outputs of up to three axes behind that of the images, alone and with another one behind."""
    for rank, kind in itertools.product(range(4), KINDS_OF_NUMBERS):
        for sides in itertools.product(SIDES, repeat=rank):
            yield (TensorSpec("y", kind, ("N", *sides)),)
    for sides in itertools.product((1, 4, 10, 64), repeat=2):
        yield tuple(TensorSpec(name, "float32", ("N", *sides)) for name in "yz")
    yield BOXES
    yield from (tuple(one for one in BOXES if one is not left) for left in BOXES)


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_no_outputs_are_of_two_tasks(image: tuple[int | str, ...]):
    """So that no order among tasks has to be known."""
    inputs, known = (TensorSpec("x", "float32", image),), catalogue()
    for outputs, ragged in itertools.product(forms(), (frozenset(), frozenset({0, 1, 2}))):
        signature = Signature(inputs, outputs, ragged)
        taken = [n for n, task in known.items() if n != FALLBACK and task.matches(signature)]
        assert len(taken) <= 1, (taken, signature)


def test_what_is_nobodys_is_compared_as_numbers():
    odd = TensorSpec("y", "string", ("N", 2, 3, 4, 5))
    assert task_of(Signature((), (odd,))) is catalogue()[FALLBACK]
