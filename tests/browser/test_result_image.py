"""The result image as a browser draws it: its code is read, and no font makes texts collide."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from core.charts.card import card
from core.charts.card_picture import FORMATS, LOOKS, card_svg
from tests.charts import builders as b
from tests.charts.test_card import LINK, longest, meet

BOXES = """() => [...document.querySelectorAll('svg text')].map((text) => {
  const box = text.getBBox();
  return [box.x, box.x + box.width, text.textContent, parseFloat(text.getAttribute('y')),
          parseFloat(text.getAttribute('font-size'))];
})"""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("fonts", ["as here", "'DejaVu Sans Mono', monospace"])
def test_texts_keep_their_places_in_any_font(browser, form, fonts):
    page = browser.new_page(viewport={"width": 1300, "height": 1400})
    markup = card_svg(card(longest(), b.PRUNED, LINK), form)
    page.set_content(f"<body style='margin:0'>{markup}</body>")
    if fonts != "as here":
        page.add_style_tag(content=f"svg, svg text {{ font-family: {fonts} !important; }}")
    width = FORMATS[form].width
    drawn = page.evaluate(BOXES)
    page.close()
    assert len(drawn) > 30
    assert all(left >= -1 and right <= width + 1 for left, right, *_ in drawn)
    boxes = [(left, y - 0.78 * size, right, y + 0.22 * size) for left, right, _, y, size in drawn]
    assert not [pair for pair in combinations(boxes, 2) if meet(*pair)]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("form", FORMATS)
def test_a_camera_reads_the_code_of_the_picture(browser, form, look):
    import cv2

    page = browser.new_page(viewport={"width": 1300, "height": 1400}, device_scale_factor=2)
    page.set_content(
        f"<body style='margin:0'>{card_svg(card(b.run(), b.PRUNED, LINK), form, look)}"
    )
    picture = page.locator("svg").screenshot()
    page.close()
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert cv2.QRCodeDetector().detectAndDecode(pixels)[0] == LINK
