"""What a pass may ask for is declared once, and all who answer it answer all of it, alike."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from core.calibration import Calibration, Unseen
from core.calibration.services import NoServices, Services
from core.data.made_up import made_up_images
from core.records import Preprocess, TensorSpec
from tests.calibration.fake_services import FakeServices

SPECS = (TensorSpec("x", "float32", ("N", 3, 8, 8)),)
IMAGES = made_up_images(SPECS, Preprocess(), 4)
ANSWERING = (
    Calibration(IMAGES, SPECS, Preprocess()),
    Unseen(SPECS, Preprocess()),
    NoServices(),
    FakeServices(),
)
DECLARED = [name for name in vars(Services) if not name.startswith("_")]
METHODS = [name for name in DECLARED if inspect.isfunction(vars(Services)[name])]
VALUES = sorted({*DECLARED, *inspect.get_annotations(Services)} - {*METHODS})
# What an implementation may promise beyond the protocol.
NARROWER = {
    "elsewhere": {"Elsewhere"},
    "made_up": {"Calibration | None"},
    "stopwatch": {"Race"},
}


def parameters(function: Any) -> list[tuple[str, object, object]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found]


def kind_of(value: object) -> str:
    return type(value).__name__


def test_the_protocol_is_read_as_a_whole():
    assert {"feeds", "runner", "stopwatch", "elsewhere"} <= {*METHODS}
    assert {"original", "count", "annotations", "preprocess"} <= {*VALUES}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("one", ANSWERING, ids=kind_of)
def test_a_method_takes_and_gives_what_the_protocol_says(one: Services, name: str):
    mine, declared = getattr(type(one), name), vars(Services)[name]
    assert parameters(mine) == parameters(declared)
    given = inspect.get_annotations(mine)["return"]
    wanted = inspect.get_annotations(declared)["return"]
    assert given in {wanted, *NARROWER.get(name, ())}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("one", ANSWERING, ids=kind_of)
def test_a_value_is_there_before_anyone_asks(one: Services, name: str):
    assert name in dir(one)
    assert not callable(getattr(one, name))
