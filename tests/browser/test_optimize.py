"""The main job in a real browser: upload, switch, measure, take away, share."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from playwright.sync_api import expect

from core.backends.base import catalogue as backends
from core.passes.base import catalogue
from core.records import Verdict
from tests.browser import server
from tests.browser.conftest import visit

SIDE, CLASSES = 32, 4
SENTENCE = ".lathe-sentence"


def small_net() -> bytes:
    """Two convolutions with batch norms, 3x32x32 to four classes, with fixed random weights."""
    random = np.random.default_rng(7)
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[1,3,{SIDE},{SIDE}] x) => (float[1,{CLASSES}] y) {{
            a = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w1)
            b = BatchNormalization (a, s1, z1, z1, s1)
            c = Relu (b)
            d = Conv <kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]> (c, w2)
            e = BatchNormalization (d, s2, z2, z2, s2)
            f = Relu (e)
            g = GlobalAveragePool (f)
            h = Flatten (g)
            y = Gemm <transB=1> (h, w3, z3)
        }}""")
    weights = {
        "w1": random.normal(0, 0.3, (32, 3, 3, 3)),
        "w2": random.normal(0, 0.1, (64, 32, 3, 3)),
        "w3": random.normal(0, 1, (CLASSES, 64)),
        "z3": np.zeros(CLASSES),
    }
    for name, width in (("1", 32), ("2", 64)):
        weights |= {f"s{name}": np.ones(width), f"z{name}": random.normal(0, 0.1, width)}
    for name, value in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype("f4"), name))
    return bytes(model.SerializeToString())


def images(count: int = 80) -> bytes:
    random = np.random.default_rng(8)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, images=pixels, labels=random.integers(0, CLASSES, count))
    return file.getvalue()


def upload(page: Any, button: str, name: str, content: bytes) -> None:
    page.locator("[data-testid=stSidebar]").get_by_role("button", name=button).click()
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator(
        "[data-testid=stFileUploader] input[type=file]:visible, "
        "[data-testid=stPopoverBody] input[type=file]"
    ).last.set_input_files(file)


def drop(page: Any, name: str, content: bytes) -> None:
    """A newcomer's model, where first sight asks for it."""
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator(".st-key-drop input[type=file]").set_input_files(file)


def three_switches() -> list[str]:
    """Passes that need no data and are off when the page opens."""
    names = [n for n, kind in catalogue().items() if not kind.needs_data]
    return [n for n in names if n != "fold_batch_norm"][:3]


@pytest.mark.slow
def test_a_newcomer_goes_from_an_upload_to_a_smaller_model_that_runs(browser, tmp_path):
    port = server.free_port()
    with server.serve(tmp_path, port) as url:
        visitor = visit(browser, url)
        page = visitor.open()
        drop(page, "my <b>net.onnx", small_net())
        page.get_by_role("heading", name="my <b>net").wait_for(timeout=60_000)
        page.get_by_text("Measured 2").wait_for(timeout=60_000)  # the original, by itself
        upload(page, "Images:", "my images.npz", images())
        page.get_by_text("40 to calibrate, 40 to evaluate").wait_for(timeout=60_000)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Find it with the labelled images").click()
        page.get_by_text("saved with the model").wait_for(timeout=60_000)
        for name in three_switches():
            switch = page.get_by_text(catalogue()[name].label, exact=True)
            # While the page is drawn anew, what stood there before may stand beside it.
            expect(switch).to_have_count(1, timeout=30_000)
            switch.click()
            page.wait_for_timeout(700)
        for other in ("openvino", "opencv"):
            page.get_by_role("button", name=backends()[other].label, exact=True).click()
            page.wait_for_timeout(300)
        original = page.url
        page.get_by_role("button", name="Measure", exact=True).click()
        page.wait_for_url(lambda address: address != original)
        verdict = re.compile(f"{Verdict.FASTER.value}|{Verdict.SLOWER.value}|no difference", re.I)
        expect(page.locator(SENTENCE)).to_contain_text(verdict, timeout=180_000)
        page.get_by_text("Measured 2").wait_for(timeout=60_000)
        said = page.locator(SENTENCE).inner_text()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Model (").click()
        runs_in_onnxruntime(Path(waiting.value.path()).read_bytes())
        permalink = page.url
        page.reload()
        page.get_by_text(said).wait_for(timeout=30_000)
        assert visitor.strangers() == []
        assert visitor.complaints == []
    with server.serve(tmp_path, port) as url:
        stranger = visit(browser, url)
        stranger.open(permalink.removeprefix(url))
        stranger.page.get_by_text(said).wait_for(timeout=30_000)
        page = stranger.open()
        server.settled(page)
        page.locator("[data-testid=stSidebar]").get_by_label("Model").first.click()
        assert page.get_by_text("my <b>net", exact=True).count() == 0
        assert stranger.strangers() == []


def runs_in_onnxruntime(content: bytes) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: np.ones((1, 3, SIDE, SIDE), np.float32)}
    (out,) = session.run(None, feeds)
    assert out.shape == (1, CLASSES)
    assert np.isfinite(out).all()
    assert len(content) < len(small_net())


SHEET = "[data-testid=stPopoverBody]"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.onnx", b"\x08\x07not a model" * 50, "broken.onnx was refused"),
        ("net.pt", b"\x80\x02}q\x00." * 9, "PyTorch"),
        ("net.tflite", b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite"),
    ],
)
def test_a_refused_upload_says_so_where_it_was_dropped(visitor, name, content, reason):
    page = visitor.open()
    server.settled(page)
    upload(page, "Upload a model", name, content)
    inside = page.locator(SHEET).get_by_text(reason)
    inside.wait_for(timeout=60_000)
    expect(inside).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("[data-testid=stSidebar]").get_by_text(reason)).to_be_in_viewport()
    assert visitor.complaints == []


def test_an_upload_that_was_taken_closes_its_sheet(visitor):
    page = visitor.open()
    server.settled(page)
    upload(page, "Upload a model", "broken.onnx", b"\x08\x07not a model" * 50)
    page.locator(SHEET).get_by_text("broken.onnx was refused").wait_for(timeout=60_000)
    page.locator(f"{SHEET} input[type=file]").set_input_files(
        {"name": "fine.onnx", "mimeType": "application/octet-stream", "buffer": small_net()}
    )
    page.get_by_role("heading", name="fine").wait_for(timeout=60_000)
    expect(page.locator(SHEET)).to_have_count(0, timeout=30_000)
    expect(page.get_by_text("was refused")).to_have_count(0)
    upload(page, "Images:", "my images.npz", images())
    expect(page.get_by_text("40 to calibrate, 40 to evaluate")).to_be_in_viewport(timeout=60_000)
    expect(page.locator(SHEET)).to_have_count(0, timeout=30_000)
    upload(page, "Images:", "more images.npz", images(30))
    expect(page.get_by_text("80 to calibrate, 30 to evaluate")).to_be_in_viewport(timeout=60_000)
    page.get_by_text(catalogue()["simplify"].label, exact=True).click()
    page.get_by_role("link", name="Runs", exact=True).first.click()  # and the choice stays
    page.get_by_role("link", name="Optimize", exact=True).first.click()
    expect(page.get_by_text("80 to calibrate, 30 to evaluate")).to_be_in_viewport(timeout=30_000)
    assert visitor.complaints == []


def top(page: Any, selector: str) -> float:
    return float(page.locator(selector).first.bounding_box()["y"])


def test_one_step_back_is_one_page_and_a_new_tab_stands_where_this_one_does(visitor):
    page = visitor.open()
    server.settled(page)
    charts = top(page, ".st-key-chart_latency")
    page.get_by_text(catalogue()["simplify"].label, exact=True).click()
    for name in ("openvino", "opencv"):
        page.get_by_role("button", name=backends()[name].label, exact=True).click()
        page.wait_for_timeout(300)
    page.get_by_role("button", name="Measure", exact=True).click()
    page.wait_for_url("**/?run=*")
    seen = set()
    for _ in range(20):
        page.wait_for_timeout(100)
        seen.add(top(page, ".st-key-chart_latency"))
    assert max(seen) - min(seen) <= 2  # nothing jumps while numbers come
    assert abs(max(seen) - charts) <= 2
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text("Cancelled;").wait_for(timeout=60_000)
    run = page.url
    tab = page.context.new_page()
    tab.goto(visitor.url)
    tab.get_by_text("Cancelled;").wait_for(timeout=60_000)
    assert "run=" not in tab.url
    tab.close()
    page.go_back()  # before it was measured
    page.get_by_text("Dashed tiles are not measured").wait_for(timeout=60_000)
    assert "run=" not in page.url
    page.go_forward()
    page.get_by_text("Cancelled;").wait_for(timeout=60_000)
    assert page.url == run
    page.get_by_role("link", name="Backends", exact=True).first.click()
    page.get_by_role("heading", name="Backends").first.wait_for(timeout=60_000)
    page.get_by_role("link", name="Optimize", exact=True).first.click()
    page.get_by_text("Cancelled;").wait_for(timeout=60_000)
    page.go_back()
    page.get_by_role("heading", name="Backends").first.wait_for(timeout=60_000)
    assert page.url.endswith("/backends")
    assert visitor.complaints == []


def test_clicks_in_quick_succession_all_count(visitor):
    page = visitor.open()
    server.settled(page)
    labels = {name: backends()[name].label for name in ("onnxruntime", "openvino", "opencv")}
    row = page.get_by_test_id("stButtonGroup").filter(has_text=labels["onnxruntime"])
    for name in ("openvino", "opencv", "openvino", "opencv", "openvino"):
        row.get_by_role("button", name=labels[name], exact=True).click()
        page.wait_for_timeout(60)  # less than the script runs
    active = row.locator("button[aria-pressed=true]")
    page.wait_for_timeout(500)
    server.settled(page)
    expect(active).to_have_text([labels["onnxruntime"], labels["opencv"]])


def test_a_switch_and_a_slider_work_by_keyboard_alone(visitor):
    page = visitor.open()
    server.settled(page)
    label = catalogue()["prune_channels"].label
    switch = page.get_by_role("switch", name=label)
    switch = switch.or_(page.get_by_role("checkbox", name=label)).first
    switch.wait_for(state="attached")
    switch.focus()
    page.keyboard.press("Space")
    slider = page.locator("[data-testid=stSidebar]").get_by_role("slider").first
    slider.wait_for()
    before = page.locator(".lathe-tiles").get_attribute("data-recipe")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('.lathe-tiles')?.dataset.recipe !== before", arg=before
    )
    assert "counted in the file" in page.locator(".lathe-tiles").inner_text()


def test_a_first_visit_by_a_deep_link_has_the_whole_frame(visitor):
    page = visitor.open("/runs")
    for title in ("Optimize", "Explore", "Model", "Backends", "Runs"):
        page.get_by_role("link", name=title, exact=True).first.wait_for()
    assert visitor.strangers() == []


def test_the_visitor_keeps_a_cookie_for_a_year(visitor):
    page = visitor.open()
    server.settled(page)
    page.wait_for_function("document.cookie.includes('lathe_visitor')")
    (cookie,) = [c for c in page.context.cookies() if c["name"] == "lathe_visitor"]
    assert cookie["sameSite"] == "Lax"
    kept_days = (cookie["expires"] - page.evaluate("Date.now()") / 1000) / 86_400
    assert 360 < kept_days < 370
    page.reload()
    server.settled(page)
    (again,) = [c for c in page.context.cookies() if c["name"] == "lathe_visitor"]
    assert again["value"] == cookie["value"]


def test_a_choice_that_few_need_is_two_clicks_away(visitor):
    page = visitor.open()
    server.settled(page)
    side = page.locator("[data-testid=stSidebar]")
    row = side.get_by_role("radiogroup", name="Precision").or_(
        side.get_by_test_id("stButtonGroup").filter(has_text="int8 safe")
    )
    expect(side.get_by_text("other …", exact=True)).to_have_count(1, timeout=30_000)
    shown = row.first.get_by_role("button").or_(row.first.get_by_role("radio")).all_inner_texts()
    shown = [text for text in shown if text]  # the question mark has none
    assert shown == ["fp32", "fp16", "int8 safe", "int8 fastest", "int4 weights", "other …"]
    side.get_by_text("other …", exact=True).click()
    others = side.get_by_label("Other precision").last
    others.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list that opens while the page scrolls is closed again
    others.click()
    page.get_by_role("option", name="int8 within points", exact=True).click()
    page.wait_for_function(
        "document.querySelector('.lathe-tiles')?.dataset.recipe"
        ".endsWith('int8 within 1\\u00a0points')"
    )
    assert visitor.complaints == []


def test_tables_have_no_export_that_hands_names_to_a_spreadsheet(visitor):
    page = visitor.open("/backends")
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    table.hover()
    expect(page.get_by_role("button", name=re.compile("^Search")).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Download as CSV"))).to_have_count(0)


def test_an_upload_is_deleted_where_the_runs_are(visitor):
    page = visitor.open()
    drop(page, "=mine.onnx", small_net())
    expect(page.locator(".lathe-title").first).to_contain_text("=mine.onnx", timeout=30_000)
    page = visitor.open("/runs")
    expect(page.get_by_text("that each visitor has")).to_be_visible()
    page.get_by_role("button", name="Delete …").last.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it and 1 run").click()
    expect(page.get_by_text("=mine.onnx is deleted.")).to_be_visible()
    expect(page.get_by_text("They take 0 B of the")).to_be_visible()
    assert not visitor.complaints
