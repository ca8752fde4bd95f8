"""A drawing knows the extent of its texts, and its SVG is safe and needs nothing from elsewhere."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from core.charts.drawing import Box, Dot, Drawing, Line, Text, paragraph, svg, width_of, wrap

LONG = "Intel(R)_Xeon(R)_Platinum_8480+_" * 6


def test_text_is_as_wide_as_its_letters():
    assert width_of("iiii", 10) < width_of("mmmm", 10) < width_of("mmmm", 10, 700) + 1
    assert width_of("0", 1000) == 556
    assert width_of("漢字", 10) == 20
    assert width_of("e\u0301", 10) == width_of("e", 10)


@pytest.mark.parametrize(
    "words", ["a few short words and more of them", LONG, f"a {LONG} b", "", "漢" * 80]
)
@pytest.mark.parametrize("width", [60, 200, 4000])
def test_lines_fit_and_nothing_is_cut(words, width):
    lines = wrap(words, 14, width)
    assert all(width_of(line, 14) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(words.split())


def test_a_paragraph_ends_where_the_next_one_may_begin():
    first, below = paragraph(LONG, 0, 0, 200, 14)
    second, _ = paragraph("next", 0, below, 200, 14)
    lowest = max(line.extent[3] for line in first if isinstance(line, Text))
    assert all(line.extent[1] >= lowest for line in second if isinstance(line, Text))


def test_every_line_states_its_width_so_that_no_font_can_widen_it():
    markup = svg(Drawing(100, 50, [Text(1, 20, "abc", 10)]), {"ink": "#000000"})
    (line,) = ElementTree.fromstring(markup).iter("{http://www.w3.org/2000/svg}text")
    assert float(line.get("textLength")) == pytest.approx(width_of("abc", 10), abs=0.01)


def test_what_comes_from_outside_stays_text():
    evil = '"><script>alert(1)</script>&\x00\x1b\ud800'
    shapes = [
        Text(0, 10, evil, 10),
        Dot(5, 5, 2, "#000", about=evil),
        Box(0, 0, 1, 1),
        Line(((0, 0), (1, 1)), "ink"),
    ]
    markup = svg(Drawing(10, 10, shapes, evil), {"ink": "#000"}, "#fff")
    tree = ElementTree.fromstring(markup)
    assert not list(tree.iter("{http://www.w3.org/2000/svg}script"))
    assert tree.get("aria-label") == '"><script>alert(1)</script>&'
    assert "http" not in markup.replace("http://www.w3.org/2000/svg", "")
