"""First sight in a real browser: what a stranger sees, and what a dropped model leads to."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from playwright.sync_api import expect

from tests.browser import server
from tests.browser.conftest import visit
from tests.browser.test_optimize import drop, small_net

SHOWN = (".lathe-mark", ".lathe-hero h1", ".lathe-purpose", ".lathe-steps", ".lathe-proof")


def test_a_stranger_sees_purpose_result_drop_zone_and_steps_without_scrolling(browser, url):
    visitor = visit(browser, url, viewport={"width": 1440, "height": 900})
    page = visitor.open()
    for part in (*SHOWN, ".st-key-drop [data-testid=stFileUploaderDropzone]"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1, timeout=30_000)
    proof = page.locator(".lathe-proof")
    expect(proof).to_contain_text("measured elsewhere")
    expect(proof.locator("dl > div")).to_have_count(3)
    expect(page.get_by_test_id("stSidebar")).to_have_count(0)
    assert visitor.complaints == []
    assert visitor.strangers() == []
    page.context.close()


def test_a_dropped_model_opens_and_its_original_is_timed_unasked(visitor):
    page = visitor.open()
    drop(page, "mine.onnx", small_net())
    page.get_by_role("heading", name="mine").wait_for(timeout=60_000)
    page.get_by_text("Measured 2").wait_for(timeout=90_000)
    tile = page.locator(".lathe-tile").filter(has_text="Latency")
    expect(tile.locator(".lathe-value")).to_contain_text("ms")
    assert "run=" in page.url
    assert visitor.complaints == []


def test_a_refusal_is_seen_where_it_was_dropped_and_the_next_file_opens(visitor):
    page = visitor.open()
    drop(page, "net.pt", b"\x80\x02}q\x00." * 9)
    expect(page.locator(".st-key-drop").get_by_text("net.pt was refused")).to_be_in_viewport(
        timeout=60_000
    )
    drop(page, "fine.onnx", small_net())
    page.get_by_role("heading", name="fine").wait_for(timeout=60_000)
    expect(page.get_by_text("was refused")).to_have_count(0)


def test_who_comes_back_lands_where_the_work_was_left(visitor):
    page = visitor.open()
    server.settled(page)
    page.get_by_label("Model").first.wait_for()
    visitor.open()
    page.wait_for_selector(".lathe-tiles", timeout=30_000)
    expect(page.locator(".lathe-hero")).to_have_count(0)


def open_sides() -> bytes:
    """One convolution over pictures of any height and width."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[1,3,h,w] x) => (float[1,4] y) {
            a = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, k)
            g = GlobalAveragePool (a)
            y = Flatten (g)
        }""")
    kernel = np.full((4, 3, 3, 3), 0.1, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(kernel, "k"))
    return bytes(model.SerializeToString())


def test_an_open_shape_is_asked_for_before_anything_is_timed(visitor):
    page = visitor.open()
    drop(page, "any size.onnx", open_sides())
    page.get_by_role("heading", name="any size").wait_for(timeout=60_000)
    side = page.get_by_test_id("stSidebar")
    expect(side.get_by_text("state the size to measure at")).to_be_visible(timeout=30_000)
    assert "run=" not in page.url
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_test_id("stAlert").first).to_be_in_viewport(timeout=30_000)
    side.get_by_role("button", name="Use ").click()
    expect(side.get_by_label("Height")).not_to_have_value("")
    page.get_by_role("button", name="Measure", exact=True).click()
    page.wait_for_url("**/?run=*")


@pytest.mark.slow
def test_the_sample_is_measured_by_itself_and_steps_aside(browser, tmp_path):
    with server.serve(tmp_path, sample=True) as address:
        first, second = visit(browser, address), visit(browser, address)
        page = first.open()
        page.get_by_text("This machine measures the same").wait_for(timeout=60_000)
        other = second.open()
        drop(other, "mine.onnx", small_net())
        other.get_by_text("Measured 2").wait_for(timeout=120_000)
        expect(page.get_by_text("measured on this machine")).to_be_visible(timeout=180_000)
        page.get_by_role("button", name="See every number").click()
        page.get_by_text("Measured by Lathe itself").wait_for(timeout=60_000)
        assert first.complaints == second.complaints == []
