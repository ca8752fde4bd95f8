"""The table of layer times: signatures, lookups, interpolation, its file."""

import json
from pathlib import Path

import pytest

from core import timings
from core.errors import StoreError
from core.records import Target
from core.timings import Estimate, LayerSignature, LayerTime, LayerTimes

HERE = Target("host", "onnxruntime", "1.0", "f32", 1)


def conv(inputs: int, outputs: int, **changes: object) -> LayerSignature:
    square = {"kernel": (3, 3), "strides": (1, 1), "dilations": (1, 1), "pads": (1, 1, 1, 1)}
    return LayerSignature("Conv", inputs, outputs, size=(8, 8), **(square | changes))


def table(*rows: tuple[LayerSignature, float | None]) -> LayerTimes:
    return LayerTimes(HERE, tuple(LayerTime((layer,), seconds) for layer, seconds in rows))


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (8, 8)),
        ({"strides": (2, 2)}, (4, 4)),
        ({"dilations": (2, 2)}, (6, 6)),
        ({"pads": (0, 1, 0, 1)}, (6, 8)),
        ({"kernel": (3, 1), "pads": (1, 0, 1, 0)}, (8, 8)),
    ],
)
def test_output_size(changes, size):
    assert conv(4, 8, **changes).output_size == size


def test_output_size_of_a_transposed_convolution():
    up = LayerSignature(
        "ConvTranspose", 4, 8, (4, 4), (2, 2), (1, 1), (1, 1, 1, 1), size=(8, 8)
    )  # fmt: skip
    assert up.output_size == (16, 16)
    assert up.macs == 8 * 8 * 4 * 8 * 16


def test_costs_of_a_convolution():
    layer = conv(4, 8, strides=(2, 2))
    assert layer.parameters == 4 * 8 * 9 + 8
    assert layer.macs == 16 * 4 * 8 * 9
    grouped = conv(4, 8, group=2)
    assert grouped.parameters == 2 * 8 * 9 + 8


def test_a_depthwise_layer_keeps_its_multiplier():
    layer = conv(4, 8, group=4)
    assert layer.depthwise
    assert layer.resized(6, 12).group == 6
    assert conv(4, 8, group=2).resized(8, 8).group == 2


def test_only_the_very_chain_is_measured():
    times = LayerTimes(HERE, (LayerTime((conv(8, 8), conv(8, 16)), 3.0),))
    assert times.seconds(conv(8, 8), conv(8, 16)) == 3.0
    assert times.seconds(conv(8, 8)) is None
    assert times.estimate(conv(8, 8)) is None
    assert (conv(8, 8), conv(8, 16)) in times


def test_between_neighbours_is_interpolated_and_says_so():
    times = table(
        (conv(8, 8), 1.0), (conv(8, 16), 3.0), (conv(16, 8), 2.0), (conv(16, 16), 6.0)
    )  # fmt: skip
    assert times.estimate(conv(8, 16)) == Estimate(3.0, False)
    assert times.estimate(conv(8, 12)) == Estimate(2.0, True)
    assert times.estimate(conv(12, 8)) == Estimate(1.5, True)
    assert times.estimate(conv(12, 12)) == Estimate(3.0, True)


def test_nothing_is_extrapolated_nor_taken_from_another_kind():
    times = table((conv(8, 8), 1.0), (conv(8, 16), 3.0), (conv(8, 24, strides=(2, 2)), 9.0))
    assert times.estimate(conv(8, 20)) is None
    assert times.estimate(conv(4, 8)) is None
    assert times.estimate(conv(8, 12, strides=(2, 2))) is None


def test_depthwise_between_depthwise_of_the_same_multiplier():
    times = table(
        (conv(8, 8, group=8), 1.0), (conv(16, 16, group=16), 2.0), (conv(16, 32, group=16), 9.0)
    )  # fmt: skip
    assert times.estimate(conv(12, 12, group=12)) == Estimate(1.5, True)
    assert times.estimate(conv(12, 24, group=12)) is None


def test_what_failed_is_known_but_has_no_time():
    times = LayerTimes(HERE, (LayerTime((conv(8, 8),), None, reason="InferenceFailed: no"),))
    assert (conv(8, 8),) in times
    assert times.seconds(conv(8, 8)) is None
    assert times.row((conv(8, 8),)).reason == "InferenceFailed: no"


def test_the_later_row_of_a_chain_counts():
    times = table((conv(8, 8), 1.0)).extended([LayerTime((conv(8, 8),), 2.0)])
    assert times.seconds(conv(8, 8)) == 2.0
    assert len(times.rows) == 1


def test_file_round_trip_and_a_line_cut_off_by_a_crash(tmp_path: Path):
    path = tmp_path / "times" / "here.jsonl"
    rows = [LayerTime((conv(8, n, fused=("Add", "Relu")),), n / 7, 0.5, 9.0) for n in (8, 16, 24)]
    timings.start(path, HERE)
    for row in rows[:2]:
        timings.append(path, row)
    with path.open("a") as file:
        file.write('\n{"chain": [')
    timings.append(path, rows[2])
    assert timings.load(path) == LayerTimes(HERE, tuple(rows))


@pytest.mark.parametrize("content", [None, "", "{}\n", "not json\n", '{"backend": 1}\n'])
def test_an_unreadable_table_is_a_store_error(tmp_path: Path, content):
    path = tmp_path / "table.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StoreError, match="table of layer times"):
        timings.load(path)


def test_a_table_of_version_0_1_0_opens(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    head = {"backend": "openvino:bf16", "version": "2026.4", "threads": 2, "host": "0123"}
    path.write_text(json.dumps(head) + "\n")
    timings.append(path, LayerTime((conv(4, 8),), 1.0))
    table = timings.load(path)
    assert table.target == Target("0123", "openvino", "2026.4", "bf16", 2)
    assert table.target.spec == "openvino:bf16"
    assert len(table.rows) == 1
