"""Windows: what TFLite's SAME adds around an image, beside what ONNX asks for."""

from __future__ import annotations

import pytest

from core.formats.tflite.operators.windows import Spatial


def window(kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> Spatial:
    two = (kernel,) * 2, (stride,) * 2, (dilation,) * 2, (before,) * 2, (after,) * 2
    return Spatial(*two)


@pytest.mark.parametrize(
    ("given", "size", "same"),
    [(window(3, 1, 1, 1), 8, True), (window(3, 2, 1, 1), 8, False), (window(3, 2, 0, 1), 8, True),
     (window(3, 2, 1, 1), 7, True), (window(3, 1, 2, 2, dilation=2), 9, True),
     (window(5, 1, 1, 1), 9, False), (window(1, 2, 0, 0), 8, True)],
)  # fmt: skip
def test_same_is_told_from_what_only_has_its_size(given: Spatial, size: int, same: bool):
    sizes = (size, size)
    assert given.is_same(sizes, given.counts(sizes)) is same


def test_rows_that_no_window_sees_are_not_added():
    given = window(2, 2, 0, 1)
    counts = given.counts((8, 8))
    assert counts == (4, 4)
    assert given.needed((8, 8), counts) == ((0, 0), (0, 0))


def test_a_window_of_a_signal_is_one_row_high():
    from core.graph.windows import Window

    found = Spatial.of(Window((3,), (2,), (1,), (1,), (1,)))
    assert (found.kernel, found.strides, found.before) == ((1, 3), (1, 2), (0, 1))
