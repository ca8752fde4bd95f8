"""The net on Model: laid out in the browser, searched, picked, by keys too; names stay text."""

from __future__ import annotations

import numpy as np
import pytest

from core import graph as graphs
from tests.browser.conftest import axe, visit
from tests.browser.test_access import RUN_AXE
from tests.builders import graph

READY = '.net[aria-busy="false"] .layers li'
HOSTILE = "<img src=x onerror=alert(1)>"


def opened(visitor, path="/model"):
    page = visitor.open(path)
    page.wait_for_selector(READY, timeout=20_000)
    return page


def colours_of(canvas) -> int:
    """How many colours are drawn: an empty canvas has one."""
    return canvas.evaluate(
        """canvas => new Set(new Uint32Array(canvas.getContext('2d')
             .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    )


def name(page) -> str:
    return page.locator(".details .name").inner_text()


def test_a_layer_is_searched_and_its_details_are_read(visitor):
    page = opened(visitor)
    page.wait_for_timeout(500)
    assert colours_of(page.locator(".pane.before canvas")) > 20
    every = page.locator(".layers li:visible").count()
    page.get_by_label("Find a layer").fill("pool")
    assert 0 < page.locator(".layers li:visible").count() < every
    page.keyboard.press("Enter")
    assert "ool" in name(page)
    assert page.locator('.layers [aria-current="true"]').count() == 1
    page.get_by_label("Find a layer").fill("")
    assert page.locator(".layers li:visible").count() == every
    assert visitor.complaints == []
    assert visitor.strangers() == []


def test_a_click_on_the_graph_and_the_arrow_keys_go_from_layer_to_layer(visitor):
    page = opened(visitor)
    page.wait_for_timeout(500)
    canvas = page.locator(".pane.before canvas")
    canvas.focus()
    page.keyboard.press("ArrowDown")
    first = name(page)
    page.keyboard.press("ArrowDown")
    second = name(page)
    assert first != second
    page.keyboard.press("ArrowUp")
    assert name(page) == first
    page.get_by_label("Close the details").click()
    box = canvas.bounding_box()
    for down in range(40, 300, 12):
        canvas.click(position={"x": (box["width"] - 46) / 2, "y": down})
        if page.locator(".details:visible").count():
            break
    assert name(page)


def test_the_table_and_the_graph_show_the_same_layer(visitor):
    page = opened(visitor)
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 14, box["y"] + 35 * 1.5)
    page.locator(".details .name").wait_for()
    picked = name(page)
    second = page.locator(".layers li").nth(2)
    second.scroll_into_view_if_needed()
    second.click()
    assert name(page) != picked


def test_all_nodes_are_more_than_layers_and_what_is_picked_stays(visitor):
    page = opened(visitor)
    page.get_by_label("Find a layer").fill("conv")
    page.keyboard.press("Enter")
    picked, folded = name(page), page.locator(".layers li").count()
    page.get_by_label("All nodes").check()
    page.locator(".layers li").nth(folded).wait_for(state="attached")
    assert page.locator(".layers li").count() > folded
    assert name(page) == picked


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_with_a_layer_open(browser, url, scheme):
    visitor = visit(browser, url, color_scheme=scheme)
    page = opened(visitor)
    page.locator(".layers button").nth(2).click()
    page.wait_for_timeout(800)
    page.add_script_tag(path=str(axe()))
    assert page.evaluate(RUN_AXE) == []
    page.context.close()


def test_foreign_names_stay_text_and_many_nodes_open_at_once(browser, url, tmp_path):
    """A thousand nodes; one of them is called like an attack."""
    layers = "\n".join(f"[c{i}] v{i + 1} = Conv <pads=[1,1,1,1]> (v{i}, w)" for i in range(700))
    joints = "\n".join(f"[a{i}] v{700 + i + 1} = Add (v{700 + i}, v{696 + i})" for i in range(300))
    text = f"(float[1,2,4,4] v0) => (float[1,2,4,4] v1000) {{ {layers} {joints} }}"
    net = graph(text, w=np.full((2, 2, 3, 3), 0.01, np.float32))
    next(iter(net.graph)).name = HOSTILE
    path = tmp_path / "large.onnx"
    path.write_bytes(graphs.serialize(net))
    visitor = visit(browser, url)
    page = opened(visitor)
    page.get_by_role("button", name="Upload a model").click()
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("heading", name="large.onnx").wait_for(timeout=30_000)
    page.get_by_text("1,000 nodes in").wait_for(timeout=20_000)
    page.get_by_label("Find a layer").fill("onerror")
    page.keyboard.press("Enter")
    assert name(page) == HOSTILE
    assert page.locator(".net img").count() == 0
    assert visitor.complaints == []
    page.context.close()
