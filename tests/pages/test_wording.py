"""Numbers carry their unit and sign; foreign text stays text."""

import pytest

from pages.widgets import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0612, "0.0612"),
        (9.999, "10.0"),
        (41.23, "41.2"),
        (93.0, "93.0"),
        (1234, "1230"),
        (-1.5, "−1.50"),
    ],
)
def test_number_keeps_three_digits_without_exponent(value, text):
    assert wording.number(value) == text


def test_units_step_by_a_thousand():
    assert wording.size(612_345) == "612 kB"
    assert wording.size(2_100_000) == "2.10 MB"
    assert wording.count(41_200_000) == "41.2 M"
    assert wording.count(12) == "12"


def test_change_uses_one_unit_for_both_numbers():
    assert wording.change(2_100_000, 612_000, wording.BYTES) == "2.10 → 0.612 MB"
    assert wording.change(2_100_000, 2_100_000, wording.BYTES) == "2.10 MB"


def test_a_difference_always_has_a_sign():
    assert wording.signed(-0.42) == "−0.4"
    assert wording.signed(0.42) == "+0.4"
    assert wording.signed(-0.01) == "±0.0"


def test_percent_change():
    assert wording.percent_change(100, 29) == "−71 %"
    assert wording.percent_change(100, 99.8) == "−0.2 %"
    assert wording.percent_change(100, 100) == "unchanged"
    assert wording.percent_change(0, 5) == "unchanged"


def test_markdown_and_html_from_outside_are_defused():
    assert wording.plain("a_b [x](http://e) :red[y] $z$") == (
        r"a\_b \[x\]\(http\://e\) \:red\[y\] \$z\$"
    )
    assert wording.escape("<img src=x onerror='1'>") == ("&lt;img src=x onerror=&#x27;1&#x27;&gt;")
