"""First sight: shown until something is open, with a result that says where it was measured."""

from __future__ import annotations

import re
from dataclasses import replace

from core.records import RunProgress, State
from core.runs import sample_run
from tests.pages.optimize.test_optimize import clean, page_text, spec


def is_first_sight(page) -> bool:
    return "lathe-hero" in page_text(page)


def test_a_newcomer_sees_what_it_is_for_and_a_result_of_another_machine(newcomer):
    page = clean(newcomer.run())
    said = page_text(page)
    shipped = sample_run.shipped()
    assert is_first_sight(page)
    assert "measured elsewhere: " in said
    assert shipped.host.cpu.split()[0] in said
    assert "measured on this machine" not in said
    assert len(re.findall(r"<dt>", said)) == 3
    assert page.file_uploader(key="upload.model")
    assert not page.sidebar.children


def test_the_run_of_this_machine_is_shown_once_it_is_done(newcomer, workspace):
    made = workspace.make_run(spec(), "", "sample")
    workspace.known["sample"] = replace(made, progress=RunProgress(State.RUNNING, current="int8"))
    page = clean(newcomer.run())
    assert "measured elsewhere: " in page_text(page)
    assert "This machine measures the same now" in page_text(page)
    workspace.known["sample"] = made
    workspace.runs.measure_sample = lambda: False
    page = clean(page.run())
    assert "measured on this machine" in page_text(page)
    assert "measured elsewhere" not in page_text(page)
    page.button(key="own").click()
    page = clean(page.run())
    assert page.query_params["run"] in ("sample", ["sample"])
    assert "Measured by Lathe itself" in page_text(page)


def test_the_sample_is_one_click_away(newcomer):
    page = clean(newcomer.run())
    page.button(key="sample").click()
    page = clean(page.run())
    assert not is_first_sight(page)
    assert page.selectbox(key="model").value == "a" * 64
    assert not is_first_sight(clean(page.run()))


def test_a_dropped_model_opens_and_its_original_is_timed_briefly(newcomer, workspace):
    page = clean(newcomer.run())
    page.file_uploader(key="upload.model").set_value(("mine.onnx", b"y", "application/octet"))
    page = clean(page.run())
    assert page.selectbox(key="model").value == "9" * 64
    (asked,) = workspace.asked
    assert [recipe.steps for recipe in asked.recipes] == [()]
    assert (asked.backends, asked.evaluation) == (("onnxruntime",), "")
    assert page.query_params["run"]
    page = clean(page.run())
    assert len(workspace.asked) == 1


def test_a_refused_file_says_why_and_first_sight_stays(newcomer, workspace):
    page = clean(newcomer.run())
    workspace.refuse = "node 3 has no operator named *Foo*"
    page.file_uploader(key="upload.model").set_value(("bad_<b>.onnx", b"x", "application/octet"))
    page = clean(page.run())
    assert is_first_sight(page)
    assert r"node 3 has no operator named \*Foo\*" in page_text(page)


def test_a_link_to_a_run_goes_past_first_sight(newcomer, workspace):
    workspace.known["r"] = workspace.make_run(spec(), "somebody", "r")
    newcomer.query_params["run"] = "r"
    page = clean(newcomer.run())
    assert not is_first_sight(page)


def test_a_link_to_no_run_says_so_at_first_sight(newcomer):
    newcomer.query_params["run"] = "gone"
    page = clean(newcomer.run())
    assert is_first_sight(page)
    assert "There is no run" in page_text(page)
