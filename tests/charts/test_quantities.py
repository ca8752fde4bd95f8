"""Numbers of rows as a person reads them."""

import pytest

from core.charts import quantities, text
from core.charts.rows import readable_rows, rows_table
from core.measure import METRICS
from tests.charts import builders as b


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("size_bytes", 1_210_400, "1.21 MB"),
        ("macs", 16_570_000, "16.6 M"),
        ("nodes", 40, "40"),
        ("top1", 91.75, "91.8 %"),
        ("top1_delta", -1.55, "−1.6 points"),
        ("latency_ms", 0.38632, "0.386 ms"),
        ("latency_ratio", 0.614, "×0.61"),
        ("sqnr_db", 28.007, "28.0 dB"),
        ("top1", None, ""),
    ],
)
def test_a_number_has_its_unit_and_no_more_digits_than_it_is_worth(metric, value, said):
    assert quantities.reading(metric, value) == said


def test_an_interval_says_its_unit_once_where_it_can():
    assert quantities.interval("latency_ms", 0.374, 0.415) == "0.374 … 0.415 ms"
    assert quantities.interval("peak_memory_bytes", 999_000, 1_200_000) == "999 kB … 1.20 MB"
    assert quantities.interval("nodes", 40, 40) == ""


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_name_that_is_no_identifier(metric):
    assert "_" not in quantities.name(metric)


def test_readable_rows_are_the_same_rows():
    run = b.run()
    for raw, shown in zip(rows_table(run), readable_rows(run), strict=True):
        assert (raw["recipe"], raw["status"], raw["reason"]) == (
            shown["recipe"],
            shown["status"],
            shown["reason"],
        )
        assert (raw["value"] is None) == (shown["value"] == "")


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1.04, "1.04×"), (1.0, "1.00×"), (1.957, "1.96×"), (12.34, "12.3×"), (130, "130×")],
)
def test_a_small_gain_is_not_rounded_away(factor, said):
    assert text.times(factor) == said
