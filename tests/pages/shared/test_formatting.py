"""Numbers carry their unit; foreign text stays text."""

from pages.shared import formatting


def test_units_step_by_a_thousand():
    assert formatting.size(612_345) == "612 kB"
    assert formatting.size(2_100_000) == "2.10 MB"
    assert formatting.count(41_200_000) == "41.2 M"
    assert formatting.count(12) == "12"


def test_change_uses_one_unit_for_both_numbers():
    assert formatting.change(2_100_000, 612_000, formatting.BYTES) == "2.10 → 0.612 MB"
    assert formatting.change(2_100_000, 2_100_000, formatting.BYTES) == "2.10 MB"


def test_durations_are_rough():
    assert formatting.duration(0.2) == "1 s"
    assert formatting.duration(42.4) == "42 s"
    assert formatting.duration(200) == "3 min"


def test_markdown_and_html_from_outside_are_defused():
    assert formatting.plain("a_b [x](http://e) :red[y] $z$") == (
        r"a\_b \[x\]\(http\://e\) \:red\[y\] \$z\$"
    )
    assert formatting.escape("<img src=x onerror='1'>") == (
        "&lt;img src=x onerror=&#x27;1&#x27;&gt;"
    )
